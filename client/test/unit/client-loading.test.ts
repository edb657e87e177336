/** A client loads what connects when it is wanted, and goes on trying where that cannot be had. */

import { afterEach, expect, test, vi } from "vitest";
import { createClient, type TidingsError } from "../../src/index.ts";
import { eventually, FakeSocket } from "../support/socket.ts";

afterEach(() => {
  vi.doUnmock("../../src/client/host.ts");
  vi.doUnmock("../../src/client/publishes.ts");
  vi.useRealTimers();
});

const options = { url: "wss://host.example", token: "t1", webSocket: FakeSocket };

test("what cannot be loaded is an error that says what to do, and is tried again with nothing forgotten", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  vi.doMock("../../src/client/host.ts", () => {
    throw new Error("404");
  });
  const errors: TidingsError[] = [];
  const client = createClient({ ...options, onError: (error) => errors.push(error) });
  client.subscribe("content.*", () => {});
  await eventually(() => expect(client.state).toBe("waiting"));
  expect(errors).toEqual([client.error]);
  expect(client.error).toMatchObject({
    code: "connection_failed",
    message: expect.stringContaining("reload"),
  });

  vi.doUnmock("../../src/client/host.ts");
  vi.advanceTimersByTime(5000);
  const socket = await FakeSocket.made();
  socket.says({ type: "welcome", protocol: 1, epoch: "e1", heartbeat: { timeout: 60_000 } });
  expect(socket.sent).toMatchObject([{ type: "subscribe", events: ["content.*"] }]);
  client.stop();
});

test("what publishes and cannot be loaded rejects what was to be published", async () => {
  vi.doMock("../../src/client/publishes.ts", () => {
    throw new Error("404");
  });
  const client = createClient(options);
  await expect(client.publish({ type: "content.updated", data: {} })).rejects.toMatchObject({
    code: "connection_failed",
  });
  client.stop();
});
