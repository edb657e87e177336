/** Tabs that share a connection, against a real server: what each sees, and how many connections there are. */

import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import { type ClientOptions, type ClientState, createClient, type Gap } from "../../src/index.ts";
import { Origin, type Tab } from "../support/origin.ts";
import { numbered, Server, token, waitFor } from "../support/server.ts";

const opened: Tab[] = [];
afterEach(() => {
  for (const tab of opened.splice(0)) tab.client.stop();
});

interface Watching {
  readonly tab: Tab;
  /** What it saw, in order. */
  readonly seen: string[];
  readonly gaps: Gap[];
}

/** A tab that watches content, once that has begun. */
async function watch(origin: Origin, server: Server, options: ClientOptions = {}): Promise<Watching> {
  const gaps: Gap[] = [];
  const onGap = (gap: Gap) => gaps.push(gap);
  const tab = await origin.open({ url: server.url, token: token(), onGap, ...options });
  opened.push(tab);
  const seen: string[] = [];
  let begun = false;
  const onBegin = () => {
    begun = true;
  };
  tab.client.subscribe("content.*", ({ data }) => seen.push(data.contentId), { onBegin });
  await waitFor("the beginning", () => begun);
  return { tab, seen, gaps };
}

async function watchBy(
  count: number,
  origin: Origin,
  server: Server,
  options: ClientOptions = {},
): Promise<Watching[]> {
  const all: Watching[] = [];
  while (all.length < count) all.push(await watch(origin, server, options));
  return all;
}

async function stats(server: Server): Promise<{ totalConnections: number; activeSubscriptions: number }> {
  return (await server.fetch("/v1/stats")).json() as Promise<Awaited<ReturnType<typeof stats>>>;
}

/** The tab that has the connection. */
function leaderOf(all: readonly Watching[]): Watching {
  const leader = all.find(({ tab }) => 0 < tab.sockets.size);
  if (!leader) throw new Error("nobody has a connection");
  return leader;
}

function names(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `c${from + index}`);
}

async function publish(server: Server, from: number, to: number): Promise<void> {
  for (let number = from; number <= to; number++) await server.publish(numbered(number));
}

async function allHave(count: number, all: readonly Watching[]): Promise<void> {
  await waitFor(`${count} events each`, () => all.every(({ seen }) => count <= seen.length));
}

test("tabs have one connection, and each sees every event once", async () => {
  await using server = await Server.start();
  const all = await watchBy(3, new Origin(), server);

  await publish(server, 1, 5);
  await allHave(5, all);

  for (const { seen } of all) expect(seen).toEqual(names(1, 5));
  expect(await stats(server)).toMatchObject({ totalConnections: 1, activeSubscriptions: 1 });
});

test("leaders crash one after the other while events flow: nothing is lost, nothing comes twice", async () => {
  await using server = await Server.start();
  let all = await watchBy(4, new Origin(), server);
  const flowing = publish(server, 1, 200);

  while (1 < all.length) {
    await allHave((5 - all.length) * 30, all);
    const leader = leaderOf(all);
    leader.tab.crash();
    all = all.filter((one) => one !== leader);
    await waitFor("another leader", () => all.some(({ tab }) => 0 < tab.sockets.size));
  }
  await flowing;
  await allHave(200, all);

  for (const { seen, gaps } of all) {
    expect(seen).toEqual(names(1, 200));
    expect(gaps).toEqual([]);
  }
  await waitFor("one connection", async () => (await stats(server)).totalConnections === 1);
});

test("a leader that stops hands over, and takes part again when it starts", async () => {
  await using server = await Server.start();
  const all = await watchBy(2, new Origin(), server);
  const leader = leaderOf(all);

  leader.tab.client.stop();
  await publish(server, 1, 3);
  await allHave(
    3,
    all.filter((one) => one !== leader),
  );
  expect(leader.seen).toEqual([]);
  leader.tab.client.start();
  await allHave(3, all);

  for (const { seen } of all) expect(seen).toEqual(names(1, 3));
  await waitFor("one connection", async () => (await stats(server)).totalConnections === 1);
});

test("a leader that is frozen loses the lead; thawed, it has missed nothing", async () => {
  await using server = await Server.start();
  const origin = new Origin();
  const all = await watchBy(2, origin, server);
  const leader = leaderOf(all);
  leader.tab.freeze();
  const late = await watch(origin, server);
  await publish(server, 1, 3);
  await allHave(3, [late]);

  leader.tab.thaw();
  await allHave(3, all);
  await publish(server, 4, 6);
  await allHave(6, [...all, late]);

  for (const { seen } of [...all, late]) expect(seen).toEqual(names(1, 6));
  await waitFor("one connection", async () => (await stats(server)).totalConnections === 1);
});

test("a follower that is frozen holds nobody up for long, and has missed nothing when it is thawed", async () => {
  await using server = await Server.start();
  const all = await watchBy(3, new Origin(), server);
  const leader = leaderOf(all);
  const [frozen, other] = all.filter((one) => one !== leader);
  frozen?.tab.freeze();
  await publish(server, 1, 3);

  leader.tab.crash();
  await publish(server, 4, 6);
  await waitFor("the events of the other", () => other?.seen.length === 6);
  frozen?.tab.thaw();
  await waitFor("the events of the frozen", () => frozen?.seen.length === 6);

  expect(other?.seen).toEqual(names(1, 6));
  expect(frozen?.seen).toEqual(names(1, 6));
});

test("a tab that comes later begins at its own offset, with recent events of its own", async () => {
  await using server = await Server.start();
  const origin = new Origin();
  const first = await watch(origin, server);
  await publish(server, 1, 3);
  await allHave(3, [first]);

  const second = await watch(origin, server);
  const recent: string[] = [];
  const onBegin = vi.fn();
  second.tab.client.subscribe(
    "content.*",
    ({ data }, { recent: past }) => recent.push(`${data.contentId} ${past}`),
    {
      recent: 2,
      onBegin,
    },
  );
  await waitFor("the recent events", () => recent.length === 2);
  await publish(server, 4, 4);
  await allHave(4, [first]);
  await waitFor("the event", () => recent.length === 3 && second.seen.length === 1);

  expect(onBegin).toHaveBeenCalledExactlyOnceWith({ offset: 3, truncated: false });
  expect(recent).toEqual(["c2 true", "c3 true", "c4 false"]);
  expect(first.seen).toEqual(names(1, 4));
  expect(second.seen).toEqual(["c4"]);
  await waitFor("one subscription", async () => (await stats(server)).activeSubscriptions === 1);
});

test.each(["leader", "follower"])(
  "a %s that is put away gives up its locks, and has missed nothing",
  async (which) => {
    await using server = await Server.start();
    const origin = new Origin();
    const all = await watchBy(3, origin, server);
    const leader = leaderOf(all);
    const away = which === "leader" ? leader : all.find((one) => one !== leader);
    const others = all.filter((one) => one !== away);

    away?.tab.page.dispatchEvent(new Event("pagehide"));
    await waitFor("its locks", () => away !== undefined && !origin.holds(away.tab));
    await publish(server, 1, 3);
    await allHave(3, others);
    away?.tab.page.dispatchEvent(new Event("pageshow"));
    await allHave(3, all);
    await publish(server, 4, 6);
    await allHave(6, all);

    for (const { seen } of all) expect(seen).toEqual(names(1, 6));
    await waitFor("one connection", async () => (await stats(server)).totalConnections === 1);
  },
);

test("what only a tab wanted that has crashed is not wanted any more", async () => {
  await using server = await Server.start();
  const all = await watchBy(2, new Origin(), server);
  const follower = all.find((one) => one !== leaderOf(all));
  follower?.tab.client.subscribe("user.*", () => {});
  await waitFor("both", async () => (await stats(server)).activeSubscriptions === 2);

  follower?.tab.crash();

  await waitFor("one", async () => (await stats(server)).activeSubscriptions === 1);
  expect((await stats(server)).totalConnections).toBe(1);
});

test("who has another user's token, or gets one, has another connection", async () => {
  await using server = await Server.start();
  const origin = new Origin();
  const claims = { tidings: { subscribe: ["*"], filter: { authorId: "u2" } } };
  const [first, second] = await watchBy(2, origin, server);
  const third = await watch(origin, server, { token: token({ sub: "u2", ...claims }) });
  expect((await stats(server)).totalConnections).toBe(2);
  const all = [first, second, third].flatMap((one) => one ?? []);

  second?.tab.client.setToken(token({ sub: "u2", ...claims }));
  await waitFor("the change", async () => (await stats(server)).activeSubscriptions === 2);
  await waitFor("the connection", () => second?.tab.client.state === "open");
  await publish(server, 1, 1);
  await allHave(1, first ? [first] : []);
  await server.publish({ ...numbered(2), data: { ...numbered(2).data, authorId: "u2" } });
  await waitFor("the event", () => all.every(({ seen }) => seen.includes("c2")));

  expect(first?.seen).toEqual(["c1", "c2"]);
  expect(second?.seen).toEqual(["c2"]);
  expect(third.seen).toEqual(["c2"]);
  expect((await stats(server)).totalConnections).toBe(2);
});

test("a tab in which the user logs out leaves the others connected", async () => {
  await using server = await Server.start();
  const all = await watchBy(2, new Origin(), server);
  const leader = leaderOf(all);
  const others = all.filter((one) => one !== leader);

  leader.tab.client.setToken(null);
  await waitFor("the end", () => leader.tab.client.state === "unauthorized");
  await publish(server, 1, 2);
  await allHave(2, others);

  expect(leader.seen).toEqual([]);
  expect((await stats(server)).totalConnections).toBe(1);
});

test("tokens are renewed in time by each tab, and the connection stays", async () => {
  await using server = await Server.start();
  const origin = new Origin();
  const getToken = () => [vi.fn(() => token({ seconds: 4 })), [] as ClientState[]] as const;
  const [first, second] = [getToken(), getToken()];
  for (const [ask, states] of [first, second]) {
    await watch(origin, server, { getToken: ask, onState: (state) => states.push(state) });
  }

  await waitFor("two renewals each", () => [first, second].every(([ask]) => 3 <= ask.mock.calls.length));

  for (const [, states] of [first, second]) expect(states).toEqual(["connecting", "open"]);
  expect((await stats(server)).totalConnections).toBe(1);
});

test("what an operator disconnects stays so in every tab", async () => {
  await using server = await Server.start();
  const all = await watchBy(2, new Origin(), server);

  await server.fetch("/v1/connections?user=u1", { method: "DELETE" });

  await waitFor("the end", () => all.every(({ tab }) => tab.client.state === "unauthorized"));
  expect(all.map(({ tab }) => tab.client.error?.code)).toEqual(["disconnected", "disconnected"]);
});

test("a server that is killed and comes back is found by all at once, each with its gaps", async () => {
  await using server = await Server.start();
  const all = await watchBy(3, new Origin(), server);
  await publish(server, 1, 2);
  await allHave(2, all);

  await server.kill();
  await server.restart();
  await waitFor("the connections", () => all.every(({ gaps }) => gaps.length === 4));
  await publish(server, 3, 4);
  await allHave(4, all);

  for (const { seen, gaps } of all) {
    expect(seen).toEqual(names(1, 4));
    expect(gaps.map(({ reason }) => reason)).toEqual(Array(4).fill("epoch"));
  }
  expect((await stats(server)).totalConnections).toBe(1);
});

test("what is published when the leader crashes is published once", async () => {
  await using server = await Server.start();
  const origin = new Origin();
  const grant = { tidings: { subscribe: ["*"], publish: ["*"] } };
  const all = [];
  for (let count = 0; count < 2; count++) all.push(await watch(origin, server, { token: token(grant) }));
  const leader = leaderOf(all);
  const follower = all.find((one) => one !== leader);
  const published = Array.from({ length: 20 }, (_, index) =>
    follower?.tab.client.publish(numbered(index + 1)),
  );

  // Some have been published by then, some are on their way, some wait.
  await waitFor("some", () => 5 <= leader.seen.length);
  leader.tab.crash();
  const results = await Promise.all(published);
  await waitFor("all", () => follower?.seen.length === 20);

  expect(follower?.seen).toEqual(names(1, 20));
  expect(new Set(results.map((result) => result?.offset)).size).toBe(20);
  const history = await (await server.fetch("/v1/events?events=*&limit=100", {}, token())).json();
  expect((history as { events: object[] }).events).toHaveLength(20);
});

test("a subscription that is not allowed is refused where it was made", async () => {
  await using server = await Server.start();
  const origin = new Origin();
  const options = { token: token({ tidings: { subscribe: ["content.*"] } }) };
  const all = [await watch(origin, server, options), await watch(origin, server, options)];
  const refused = all.map(({ tab }, index) => {
    const onError = vi.fn();
    tab.client.subscribe(index === 0 ? "user.*" : "content.created", () => {}, { onError });
    return onError;
  });

  await waitFor("the refusal", () => refused[0]?.mock.calls.length === 1);
  await publish(server, 1, 1);
  await allHave(1, all);

  expect(refused[0]).toHaveBeenCalledWith(expect.objectContaining({ code: "forbidden" }));
  expect(refused[1]).not.toHaveBeenCalled();
});

test("a tab that does not keep pace gets a connection of its own, and has missed nothing", async () => {
  await using server = await Server.start();
  const all = await watchBy(2, new Origin(), server);
  const leader = leaderOf(all);
  const slow = all.find((one) => one !== leader);
  const big = (number: number) => {
    const event = numbered(number);
    return { ...event, data: { ...event.data, title: "x".repeat(60_000) } };
  };
  slow?.tab.freeze();
  for (let number = 1; number <= 80; number++) await server.publish(big(number));
  await allHave(80, [leader]);

  slow?.tab.thaw();
  await allHave(80, all);

  for (const { seen } of all) expect(seen).toEqual(names(1, 80));
  expect((await stats(server)).totalConnections).toBe(2);
});

test("over Server-Sent Events tabs share a connection as well, and a leader's crash costs the others nothing", async () => {
  await using server = await Server.start();
  const [leader, ...others] = await watchBy(3, new Origin(), server, { transport: "sse" });
  await publish(server, 1, 3);
  await allHave(3, others);
  expect((await stats(server)).activeSubscriptions).toBe(1);

  leader?.tab.crash();
  await publish(server, 4, 6);
  await allHave(6, others);

  for (const { seen, gaps } of others) {
    expect(seen).toEqual(names(1, 6));
    expect(gaps).toEqual([]);
  }
});

test("where there are no locks, a client has a connection of its own", async () => {
  await using server = await Server.start();
  vi.stubGlobal("navigator", { onLine: true });
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const common = { url: server.url, token: token(), shared: true, webSocket: WebSocket, signal: stop.signal };
  const clients = [createClient(common), createClient(common)];

  for (const client of clients) client.start();

  await waitFor("the connections", () => clients.every(({ state }) => state === "open"));
  expect((await stats(server)).totalConnections).toBe(2);
});
