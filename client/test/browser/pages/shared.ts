/** A tab that shares its connection, in the hands of a test. It keeps what it sees, in order. */

import { createClient, type Gap, type TidingsClient } from "../../../src/index.ts";

const query = new URLSearchParams(location.search);
// As in a browser that has no shared workers.
if (query.has("locks")) Reflect.deleteProperty(globalThis, "SharedWorker");

const gaps: Gap[] = [];
const client = createClient({
  url: query.get("server") ?? "/",
  token: query.get("token") ?? "",
  shared: true,
  onGap: (gap) => gaps.push(gap),
});
const seen: string[] = [];
const recent: string[] = [];
client.subscribe(
  "content.*",
  ({ data }, delivery) => (delivery.recent ? recent : seen).push(data.contentId),
  { recent: Number(query.get("recent")) },
);

let wasPutAway = false;
addEventListener("pageshow", ({ persisted }) => {
  wasPutAway = persisted;
});

declare global {
  interface Window {
    readonly tab: {
      readonly client: TidingsClient;
      readonly seen: string[];
      readonly recent: string[];
      readonly gaps: Gap[];
      /** Whether the page is one that the browser had put away. */
      readonly wasPutAway: boolean;
    };
  }
}
Object.assign(window, {
  tab: {
    client,
    seen,
    recent,
    gaps,
    get wasPutAway() {
      return wasPutAway;
    },
  },
});
