/**
 * A page of the hooks for a test, which drives it by `app` (and `#shared`): it shows the connection's status and the number of events
 * in its list, and writes down what comes.
 */

import { StrictMode, useState } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";
import { TidingsProvider, useContentEvents, useWebSocket } from "../../../src/react/index.ts";
import type { Gap } from "../../../src/types.ts";

type Credentials = { readonly token: string } | { readonly getToken: () => Promise<string> };

/** What a test reads and calls in the page. */
export interface App {
  /** `contentId` of every event, in the order in which they came. */
  readonly received: string[];
  readonly gaps: Gap[];
  /** How many WebSockets were opened. */
  sockets: number;
  /** Takes the feed out of the page, or puts it there. */
  mount(mounted: boolean): void;
  /** Begins, or goes on with other credentials. */
  sign(credentials: Credentials): void;
}

declare global {
  var app: App;
}

const received: string[] = [];
const gaps: Gap[] = [];
let change: (page: Partial<PageState>) => void = () => {};
globalThis.app = {
  received,
  gaps,
  sockets: 0,
  mount: (mounted) => change({ mounted }),
  sign: (credentials) => change({ credentials }),
};

globalThis.WebSocket = class extends WebSocket {
  constructor(...given: ConstructorParameters<typeof WebSocket>) {
    super(...given);
    app.sockets += 1;
  }
};

interface PageState {
  readonly mounted: boolean;
  readonly credentials: Credentials | undefined;
}

function Page() {
  const [page, setPage] = useState<PageState>({ mounted: true, credentials: undefined });
  change = (part) => flushSync(() => setPage((before) => ({ ...before, ...part })));
  if (page.credentials === undefined) return <p>signed out</p>;
  return (
    <TidingsProvider shared={location.hash === "#shared"} onGap={(gap) => gaps.push(gap)}>
      {page.mounted ? <Feed {...page.credentials} /> : <p>unmounted</p>}
    </TidingsProvider>
  );
}

function Feed(credentials: Credentials) {
  const { status } = useWebSocket(credentials);
  const { events } = useContentEvents({
    limit: 100_000,
    filter: { type: "blog" },
    onEvent: ({ contentId }) => received.push(contentId),
  });
  return <p>{`${status}, ${events.length} events, ${new Set(events.map(({ id }) => id)).size} different`}</p>;
}

const root = document.querySelector("#root") as HTMLElement;
createRoot(root).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
