/**
 * Rendered on a server, the hooks show what they show before anything has come, and connect nothing.
 *
 * @vitest-environment node
 */

import { renderToString } from "react-dom/server";
import { expect, test, vi } from "vitest";
import {
  TidingsProvider,
  useConnectionStatus,
  useContentEvents,
  useWebSocket,
} from "../../src/react/index.ts";

const createClient = vi.hoisted(() => vi.fn());
vi.mock("../../src/client/client.ts", () => ({ createClient }));

function Page() {
  const { status, lastMessage } = useWebSocket({ token: "t1", subscriptions: ["*"] });
  const { isConnected } = useConnectionStatus();
  const { events, lastEvent } = useContentEvents({ recent: 10 });
  return <p>{JSON.stringify([status, isConnected, lastMessage, events, lastEvent])}</p>;
}

test.each([
  ["without a provider", <Page key="1" />],
  [
    "below a provider",
    <TidingsProvider key="2" url="/ws" token="t1">
      <Page />
    </TidingsProvider>,
  ],
])("a page %s is empty, and no client is made", (_, page) => {
  const warned = vi.spyOn(console, "error");

  const html = renderToString(page);

  expect(html).toBe("<p>[&quot;idle&quot;,false,null,[],null]</p>");
  expect(createClient).not.toHaveBeenCalled();
  expect(warned).not.toHaveBeenCalled();
});
