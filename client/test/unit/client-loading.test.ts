/** A client loads what few pages need when it is wanted, and says so where that cannot be had. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createClient } from "../../src/index.ts";
import { event, resumed, welcome } from "../support/script.ts";
import { FakeSocket } from "../support/socket.ts";

const LATER = ["client/sse", "client/publishes", "client/persist", "shared/sharing"];

beforeEach(() => {
  FakeSocket.all = [];
  vi.resetModules();
  for (const name of LATER) {
    vi.doMock(`../../src/${name}.ts`, () => {
      throw new Error("404");
    });
  }
});

afterEach(() => {
  for (const name of LATER) vi.doUnmock(`../../src/${name}.ts`);
});

const options = { url: "wss://host.example", token: "t1", webSocket: FakeSocket };

test("nothing is loaded to connect over WebSocket, subscribe, receive and resume", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0);
  const seen = vi.fn();
  const onError = vi.fn();
  const client = createClient({ ...options, onError });
  client.subscribe("content.*", (_, { offset }) => seen(offset));
  const first = await FakeSocket.made();
  first.says(welcome());
  first.says({ type: "subscribed", id: "s0", offset: 10 });
  first.says(event(11));
  first.closes(1012);

  const second = await FakeSocket.made(2);
  second.says(welcome());
  expect(second.sent).toMatchObject([{ type: "resume", since: { lanes: { normal: 11 } } }]);
  second.says(resumed(11, [{ id: "s0", offset: 10 }]));
  second.says(event(12));
  expect(seen.mock.calls).toEqual([[11], [12]]);
  expect(onError, "but for the close").toHaveBeenCalledOnce();
  client.stop();
});

test.each([{ shared: true }, { persist: true }])(
  "what %j asks for and cannot be loaded is done without",
  async (asked) => {
    const client = createClient({ ...options, ...asked });
    client.start();
    (await FakeSocket.made()).says(welcome());
    expect(client.state).toBe("open");
    client.stop();
  },
);

test("what publishes and cannot be loaded rejects what was to be published", async () => {
  const client = createClient(options);
  await expect(client.publish({ type: "content.updated", data: {} })).rejects.toMatchObject({
    code: "connection_failed",
  });
  client.stop();
});
