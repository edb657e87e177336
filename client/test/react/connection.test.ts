/** How components share a connection, over fake clients. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ClientOptions } from "../../src/client/api.ts";
import { TidingsError } from "../../src/errors.ts";
import { Connections, LINGER_MS } from "../../src/react/connection.ts";
import { FakeClient } from "../support/fake-client.ts";

const clients: FakeClient[] = [];
const create = (options?: ClientOptions) => {
  const client = new FakeClient(options);
  clients.push(client);
  return client;
};
beforeEach(() => void vi.useFakeTimers());
afterEach(() => clients.splice(0));

/** What the client is answered when it asks for a token. */
const asked = async (client: FakeClient | undefined) =>
  client?.options.getToken?.({ signal: new AbortController().signal });
const nothing = () => () => {};

test("an address has one connection, and no client before a component needs it", () => {
  const connections = new Connections(create, { persist: true });
  const connection = connections.at("/ws");
  expect(connections.at("/ws")).toBe(connection);
  expect(clients).toEqual([]);

  connection.hold(nothing);
  connections.at(undefined).hold(nothing);

  expect(clients.map(({ options }) => [options.url, options.persist])).toEqual([
    ["/ws", true],
    [undefined, true],
  ]);
});

test("the client stops a moment after the last component has left", () => {
  const connection = new Connections(create).at(undefined);
  const [first, second] = [connection.hold(() => () => {}), connection.hold(() => () => {})];

  first();
  vi.advanceTimersByTime(LINGER_MS);
  second();
  vi.advanceTimersByTime(LINGER_MS - 1);
  expect(clients[0]?.calls).toEqual([]);
  vi.advanceTimersByTime(1);

  expect(clients[0]?.calls).toEqual(["stop"]);
  expect(connection.getStatus()).toBe("idle");
});

test("what leaves and comes back within the moment has never left", () => {
  const connection = new Connections(create).at(undefined);
  const end = vi.fn();
  const attach = vi.fn(() => end);

  for (let round = 0; round < 10; round += 1) {
    const release = connection.hold(attach);
    vi.advanceTimersByTime(LINGER_MS);
    release();
    vi.advanceTimersByTime(LINGER_MS / 2);
  }
  expect(attach).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(LINGER_MS);

  expect(end).toHaveBeenCalledTimes(1);
  expect(clients).toHaveLength(1);
});

test("a component that comes after the client has stopped gets another client, with the credentials known", async () => {
  const connection = new Connections(create).at(undefined);
  connection.authorize({ token: "t1" });
  connection.hold(nothing)();
  vi.advanceTimersByTime(LINGER_MS);

  connection.hold(nothing);

  expect(await Promise.all(clients.map(asked))).toEqual(["t1", "t1"]);
});

test("a token that does not change is given once", async () => {
  const connection = new Connections(create).at(undefined);
  connection.authorize({ token: "t1" });
  connection.hold(nothing);

  expect(await asked(clients[0])).toBe("t1");
  expect(await asked(clients[0])).toBeNull();
});

test("a token that changes goes to the client in place; one that nobody gives any more stays", () => {
  const connection = new Connections(create).at(undefined);
  connection.authorize({ token: "t1" });
  connection.hold(nothing);

  connection.authorize({ token: "t1" });
  connection.authorize({ token: "t2" });
  connection.authorize({});
  connection.authorize({ token: null });

  expect(clients.map(({ calls }) => calls)).toEqual([["setToken t2", "setToken null"]]);
});

test("of several getToken the newest is asked, and none while nobody is signed in", async () => {
  const connection = new Connections(create).at(undefined);
  connection.authorize({ getToken: () => "old" });
  connection.hold(nothing);

  connection.authorize({ getToken: async () => "new" });
  expect(await asked(clients[0])).toBe("new");
  connection.authorize({ token: null });

  expect(await asked(clients[0])).toBeNull();
  expect(clients[0]?.calls).toEqual(["setToken null"]);
});

test("a client without a token is started again by the first getToken, and by one in the place of no user", async () => {
  const connection = new Connections(create).at(undefined);
  connection.hold(nothing);
  const [client] = clients;

  for (const round of ["first", "after a logout"]) {
    client?.become("unauthorized");
    connection.authorize({ getToken: () => round });
    connection.authorize({ getToken: () => round });
    expect(await asked(client)).toBe(round);
    connection.authorize({ token: null });
  }

  expect(client?.calls).toEqual(["start", "setToken null", "start", "setToken null"]);
});

test("an address that cannot be is an error of the connection", () => {
  const error = new TidingsError("invalid_url", "ftp: is not a scheme of it.");
  const connection = new Connections(() => {
    throw error;
  }).at("ftp://here");
  const attach = vi.fn();

  connection.hold(attach);

  expect(connection.getStatus()).toBe("closed");
  expect(connection.getError()).toBe(error);
  expect(attach).not.toHaveBeenCalled();
});

test("a client that the application has made is never stopped", () => {
  const client = new FakeClient();
  const connection = new Connections(create, {}, client).at(undefined);

  connection.hold(nothing)();
  connection.authorize({ token: "t1", getToken: () => "t2" });
  vi.advanceTimersByTime(LINGER_MS);

  expect(client.calls).toEqual(["setToken t1"]);
  expect(clients).toEqual([]);
});

test("its status is the client's, and is told to whoever listens", () => {
  const connection = new Connections(create).at(undefined);
  expect(connection.getStatus()).toBe("idle");
  const listener = vi.fn();
  const unsubscribe = connection.subscribe(listener);

  clients[0]?.become("open");
  expect(connection.getStatus()).toBe("open");
  unsubscribe();
  clients[0]?.become("waiting");

  expect(listener).toHaveBeenCalledTimes(1);
});
