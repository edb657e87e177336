/**
 * Clients over sockets that the test plays the server of. They are stopped after each test, in which no rejection may
 * go unhandled.
 */

import { afterEach, beforeEach, expect, vi } from "vitest";
import { type ClientOptions, createClient, type TidingsClient } from "../../src/index.ts";
import { welcome } from "./script.ts";
import { eventually, FakeSocket } from "./socket.ts";

const stop = new Set<TidingsClient>();
const unhandled = vi.fn();

beforeEach(() => {
  FakeSocket.all = [];
  process.on("unhandledRejection", unhandled);
});

afterEach(async () => {
  for (const client of stop) client.stop();
  stop.clear();
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", unhandled);
  expect(unhandled).not.toHaveBeenCalled();
});

/** Has a client stopped after the test. */
export function passing(client: TidingsClient): TidingsClient {
  stop.add(client);
  return client;
}

export function make(options: ClientOptions = {}): TidingsClient {
  return passing(createClient({ url: "wss://host.example", token: "t1", webSocket: FakeSocket, ...options }));
}

/** A client that is welcomed. */
export async function open(options: ClientOptions = {}): Promise<[TidingsClient, FakeSocket]> {
  const client = make(options);
  client.start();
  const socket = await FakeSocket.made();
  socket.says(welcome());
  return [client, socket];
}

/** One that has a subscription to `content.*` that began at 10. */
export async function subscribed(options: ClientOptions = {}) {
  const [client, socket] = await open(options);
  const listener = vi.fn();
  const subscription = client.subscribe("content.*", listener);
  await eventually(() => expect(socket.sent).toHaveLength(1));
  socket.says({ type: "subscribed", id: "s0", offset: 10 });
  return { client, socket, listener, subscription };
}
