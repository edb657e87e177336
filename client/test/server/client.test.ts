/** The client against a real server, over real sockets. */

import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import type { Delivery, Gap, Lane, TidingsError } from "../../src/index.ts";
import { connect } from "../support/client.ts";
import { Cutter } from "../support/cutter.ts";
import { numbered, Server, token, waitFor } from "../support/server.ts";

const LANES: readonly Lane[] = ["critical", "high", "normal", "low"];

/** An event in the lane that its number gives. */
function spread(number: number) {
  return { ...numbered(number), priority: LANES[number % 4] as Lane };
}

test("a subscription begins with recent events and goes on with what is published", async () => {
  await using server = await Server.start();
  await server.publish([numbered(1), numbered(2), numbered(3, "page"), numbered(4)]);
  const client = connect(server);
  const seen: string[] = [];
  const onBegin = vi.fn();
  const options = { filter: { type: "blog" }, recent: 2, onBegin };
  client.subscribe(
    "content.published",
    (event, { recent }) => seen.push(`${event.data.contentId} ${recent}`),
    options,
  );
  await waitFor("the beginning", () => seen.length === 2);
  expect(onBegin).toHaveBeenCalledExactlyOnceWith({ offset: 4, truncated: false });

  await server.publish([numbered(5, "page"), numbered(6)]);
  await waitFor("the event", () => seen.length === 3);
  expect(seen).toEqual(["c2 true", "c4 true", "c6 false"]);
  expect(client.position?.lanes.normal).toBe(6);
});

test("connections that are cut while events flow lose nothing, repeat nothing and keep every lane's order", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0.02);
  await using server = await Server.start();
  await using proxy = await Cutter.start(server);
  const gaps: Gap[] = [];
  const client = connect(proxy, { transport: "websocket", onGap: (gap) => gaps.push(gap) });
  const seen: Delivery[] = [];
  const own: number[] = [];
  client.subscribe("*", (_, delivery) => seen.push(delivery));
  client.subscribe("content.*", (_, { offset }) => own.push(offset), { filter: { type: "page" } });
  await waitFor("the beginning", () => client.position !== null);

  const published: number[] = [];
  const pages: number[] = [];
  for (let round = 0; round < 6; round++) {
    for (let number = 0; number < 40; number++) {
      const page = number % 5 === 0;
      const [result] = await server.publish({
        ...spread(number),
        ...(page && { data: numbered(number, "page").data }),
      });
      published.push(result?.offset ?? 0);
      if (page) pages.push(result?.offset ?? 0);
      if (number === 20) proxy.cut();
    }
    await waitFor("the next connection", () => client.state === "open" && proxy.size !== 0);
  }
  await waitFor("all events", () => published.length <= seen.length);

  const offsets = seen.map(({ offset }) => offset);
  expect([...offsets].sort((a, b) => a - b)).toEqual(published);
  expect([...own].sort((a, b) => a - b)).toEqual(pages);
  for (const lane of LANES) {
    const lanes = seen.filter((one) => one.lane === lane).map(({ offset }) => offset);
    expect(lanes, lane).toEqual([...lanes].sort((a, b) => a - b));
  }
  expect(gaps).toEqual([]);
});

test("a server that is killed and comes back while events flow costs what the gap tells, and nothing twice", async () => {
  await using server = await Server.start();
  const gaps: Gap[] = [];
  const client = connect(server, { transport: "websocket", onGap: (gap) => gaps.push(gap) });
  const seen: { epoch: string; offset: number }[] = [];
  client.subscribe("content.*", (_, { offset }) =>
    seen.push({ epoch: client.position?.epoch ?? "", offset }),
  );
  await waitFor("the beginning", () => client.position !== null);
  const lives: number[][] = [[], []];
  const epochs = [client.position?.epoch];
  for (const [life, published] of lives.entries()) {
    if (life === 1) {
      await server.kill();
      await server.restart();
    }
    const enough = () => 50 <= published.length && client.state === "open" && gaps.length === 4 * life;
    for (let number = 0; !enough() || number < 50; number++) {
      const [result] = await server.publish(spread(number));
      published.push(result?.offset ?? 0);
    }
    await server.publish(numbered(0));
  }
  epochs.push(client.position?.epoch);
  await waitFor("the last event", () => (lives[1]?.length ?? 0) + 1 <= (seen.at(-1)?.offset ?? 0));

  expect(epochs[0]).not.toBe(epochs[1]);
  expect(gaps).toEqual(LANES.map((lane) => ({ lane, until: gaps[0]?.until, reason: "epoch" })));
  const of = (epoch: string | undefined) =>
    seen.filter((one) => one.epoch === epoch).map(({ offset }) => offset);
  const [before, after] = [of(epochs[0]), of(epochs[1])];
  expect(new Set(before).size).toBe(before.length);
  const owed = [...(lives[1] ?? []), (lives[1]?.length ?? 0) + 1].filter(
    (offset) => (gaps[0]?.until ?? 0) < offset,
  );
  expect([...after].sort((a, b) => a - b)).toEqual(owed);
});

test("what has left the server's history is told as a gap, and the rest follows", async () => {
  await using server = await Server.start({ HISTORY__EVENTS: "10" });
  const gaps: Gap[] = [];
  const getToken = () => token();
  const client = connect(server, { getToken, onGap: (gap) => gaps.push(gap) });
  const seen: string[] = [];
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await server.publish(numbered(0));
  await waitFor("the beginning", () => client.position !== null);
  client.stop();
  await waitFor("the end", () => client.state === "closed");
  await server.publish(Array.from({ length: 50 }, (_, number) => numbered(number + 1)));
  seen.length = 0;
  client.start();
  await waitFor("the rest", () => seen.at(-1) === "c50");
  expect(seen).toEqual(Array.from({ length: 10 }, (_, number) => `c${number + 41}`));
  expect(gaps).toMatchObject([{ lane: "normal", until: 41, reason: "expired" }]);
});

test("a server that drains is left when it says, and the next one is connected to", async () => {
  await using server = await Server.start({ DRAIN__SPREAD_MS: "100" });
  const errors: TidingsError[] = [];
  const client = connect(server, { onError: (error) => errors.push(error) });
  const seen: string[] = [];
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await waitFor("the beginning", () => client.position !== null);
  await server.stop();
  expect(errors[0]).toMatchObject({
    code: "connection_failed",
    message: expect.stringContaining("asked to connect anew"),
  });
  await server.restart();
  await waitFor("the connection", () => client.state === "open");
  await server.publish(numbered(1));
  await waitFor("the event", () => seen.length === 1);
});

test("a token is replaced in place before it expires", async () => {
  await using server = await Server.start({ AUTH__LEEWAY_S: "0" });
  const getToken = vi.fn(() => token({ seconds: 3 }));
  const states: string[] = [];
  const client = connect(server, { getToken, onState: (state) => states.push(state) });
  const seen: string[] = [];
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await waitFor("the third token", () => getToken.mock.calls.length === 3);
  await server.publish(numbered(1));
  await waitFor("the event", () => seen.length === 1);
  expect(states).toEqual(["connecting", "open"]);
});

test("a token that expires ends the connection, and another goes on where it was", async () => {
  await using server = await Server.start({ AUTH__LEEWAY_S: "0" });
  const client = connect(server, { token: token({ seconds: 2 }) });
  const seen: string[] = [];
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await waitFor("the beginning", () => client.position !== null);
  await server.publish(numbered(1));
  await waitFor("the expiry", () => client.state === "unauthorized");
  expect(client.error).toMatchObject({ code: "unauthorized" });
  await server.publish(numbered(2));
  client.setToken(token());
  await waitFor("the events", () => seen.length === 2);
  expect(seen).toEqual(["c1", "c2"]);
});

test("a token that the server does not accept ends in unauthorized, with what to do", async () => {
  await using server = await Server.start();
  const client = connect(server, { token: token().replace(/.$/, "") });
  client.start();
  await waitFor("the refusal", () => client.state === "unauthorized");
  expect(client.error).toMatchObject({
    code: "unauthorized",
    message: expect.stringContaining("give another"),
  });
});

test("an operator's disconnect is final until there is another token, also another user's", async () => {
  await using server = await Server.start();
  const client = connect(server);
  const seen: string[] = [];
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await waitFor("the beginning", () => client.position !== null);
  const answer = await server.fetch("/v1/connections?user=u1", { method: "DELETE" });
  expect(answer.status).toBe(200);
  await waitFor("the disconnect", () => client.state === "unauthorized");
  expect(client.error).toMatchObject({ code: "disconnected" });
  await server.publish(numbered(1));
  client.setToken(token({ sub: "u2" }));
  await waitFor("the event", () => seen.length === 1);

  client.setToken(token({ sub: "u3" }));
  const users = async () => {
    const list = (await (await server.fetch("/v1/connections")).json()) as {
      connections: { user: string }[];
    };
    return list.connections.map(({ user }) => user);
  };
  await waitFor("the third user", async () => (await users()).join() === "u3");
  await server.publish(numbered(2));
  await waitFor("the event", () => seen.length === 2);
});

test("a subscription that the grant does not cover is forbidden, and the others go on", async () => {
  await using server = await Server.start();
  const client = connect(server, { token: token({ tidings: { subscribe: ["content.*"] } }) });
  const errors: TidingsError[] = [];
  const seen: string[] = [];
  client.subscribe("user.*", () => {}, { onError: (error) => errors.push(error) });
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await waitFor("the refusal", () => errors.length === 1 && client.position !== null);
  expect(errors[0]).toMatchObject({ code: "forbidden", message: expect.stringContaining("user.*") });
  await server.publish(numbered(1));
  await waitFor("the event", () => seen.length === 1);
});

test("what is no pattern or filter is a typed error of its subscription, and costs the connection nothing", async () => {
  const path = new URL("../../../core/tests/fixtures/routing.json", import.meta.url);
  const { notPatterns, notFilters } = JSON.parse(readFileSync(path, "utf8")) as {
    notPatterns: string[];
    notFilters: unknown[];
  };
  await using server = await Server.start();
  const client = connect(server);
  const codes: string[] = [];
  const onError = (error: TidingsError) => codes.push(error.code);
  for (const pattern of notPatterns) client.subscribe(pattern, () => {}, { onError });
  await waitFor("the refusals", () => codes.length === notPatterns.length);
  // An empty text names nothing, which the client knows by itself.
  expect(new Set(codes)).toEqual(new Set(["invalid_message", "invalid_event_type"]));

  codes.length = 0;
  // What names a key twice is a filter here, and none at all is none.
  const isFilter = (filter: unknown) => filter === null || typeof (filter as { a?: unknown }).a === "number";
  const filters = notFilters.filter((filter) => !isFilter(filter));
  for (const filter of filters) client.subscribe("*", () => {}, { filter: filter as never, onError });
  await waitFor("the refusals", () => codes.length === filters.length);
  expect(new Set(codes)).toEqual(new Set(["invalid_filter"]));
  expect(client.state).toBe("open");
});

test("what is published over connections that are cut is in the log once, in order", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0.02);
  await using server = await Server.start();
  await using proxy = await Cutter.start(server);
  const grant = token({ tidings: { publish: ["content.*"], subscribe: ["*"] } });
  const client = connect(proxy, { transport: "websocket", token: grant });
  client.start();
  await waitFor("the connection", () => client.state === "open");
  const answers: Promise<unknown>[] = [];
  for (let round = 0; round < 4; round++) {
    for (let number = 0; number < 20; number++) answers.push(client.publish(numbered(20 * round + number)));
    await Promise.race(answers.slice(-10));
    proxy.cut();
    await waitFor("the next connection", () => client.state === "open" && proxy.size !== 0);
  }
  await Promise.all(answers);
  const page = (await (await server.fetch("/v1/events?events=*&limit=1000", {}, token())).json()) as {
    events: { event: { data: { contentId: string } } }[];
  };
  const ids = page.events.map(({ event }) => event.data.contentId);
  expect(ids).toEqual(Array.from({ length: 80 }, (_, number) => `c${number}`));
});

test("an event that is none rejects with every fault by path", async () => {
  await using server = await Server.start();
  const client = connect(server, { token: token({ tidings: { publish: ["content.*"] } }) });
  await expect(client.publish({ type: "content.published", data: { contentId: 7 } })).rejects.toMatchObject({
    code: "invalid_event",
    details: expect.arrayContaining([expect.objectContaining({ path: "$.data.contentId" })]),
  });
  const logout = { type: "user.logout", data: { userId: "u1", timestamp: "2026-01-31T08:00:00Z" } };
  await expect(client.publish(logout)).rejects.toMatchObject({ code: "forbidden" });
});
