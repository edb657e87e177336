/** The client over Server-Sent Events, where WebSocket is blocked: the same promises, against a real server. */

import { createServer } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import type { Gap, TidingsError, TidingsEvent } from "../../src/index.ts";
import { connect } from "../support/client.ts";
import { numbered, Server, token, waitFor } from "../support/server.ts";

const sse = { transport: "sse" } as const;

test("a subscription begins with recent events and goes on with what is published", async () => {
  await using server = await Server.start();
  await server.publish([numbered(1), numbered(2), numbered(3, "page"), numbered(4)]);
  const client = connect(server, sse);
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
});

test("several subscriptions share a stream, and each sees only what is above its beginning", async () => {
  await using server = await Server.start();
  const client = connect(server, sse);
  const seen: string[] = [];
  const see = (name: string) => (event: TidingsEvent) => {
    seen.push(`${name} ${"contentId" in event.data ? event.data.contentId : ""}`);
  };
  const begun = vi.fn();
  client.subscribe("content.*", see("blog"), { filter: { type: "blog" }, onBegin: begun });
  client.subscribe("content.published", see("page"), { filter: { type: "page" }, onBegin: begun });
  await waitFor("the beginnings", () => begun.mock.calls.length === 2);
  await server.publish([numbered(1), numbered(2, "page")]);
  await waitFor("the events", () => seen.length === 2);

  const all = client.subscribe("*", see("all"), { onBegin: begun });
  await waitFor("the beginning", () => begun.mock.calls.length === 3);
  await server.publish(numbered(3));
  await waitFor("the event", () => seen.length === 4);
  all.unsubscribe();
  await server.publish(numbered(4, "page"));
  await waitFor("the event", () => seen.length === 5);
  expect(seen).toEqual(["blog c1", "page c2", "blog c3", "all c3", "page c4"]);
});

test("what is published while the newest are looked for comes once, as what it is", async () => {
  await using server = await Server.start();
  await server.publish(numbered(1));
  const { fetch } = globalThis;
  let late = 1;
  vi.stubGlobal("fetch", async (url: string | URL, init: RequestInit) => {
    // The stream has begun when a page is asked for that may hold events.
    if (String(url).includes("after=0&")) await server.publish(numbered(++late));
    return fetch(url, init);
  });
  const client = connect(server, sse);
  const seen: string[] = [];
  client.subscribe(
    "content.published",
    (event, { recent }) => seen.push(`${event.data.contentId} ${recent}`),
    {
      recent: 5,
    },
  );
  await waitFor("the events", () => seen.length === 2);
  await server.publish(numbered(9));
  await waitFor("the last event", () => seen.at(-1) === "c9 false");
  expect(seen).toEqual(["c1 true", "c2 false", "c9 false"]);
});

test("the newest events are found in a long history of others", async () => {
  await using server = await Server.start();
  await server.publish([numbered(1, "rare"), numbered(2, "rare"), numbered(3, "rare")]);
  for (let batch = 0; batch < 3; batch++) {
    await server.publish(Array.from({ length: 1000 }, (_, number) => numbered(number)));
  }
  const client = connect(server, sse);
  const seen: string[] = [];
  const onBegin = vi.fn();
  client.subscribe("content.*", (event) => seen.push(event.data.contentId), {
    filter: { type: "rare" },
    recent: 2,
    onBegin,
  });
  await waitFor("the beginning", () => onBegin.mock.calls.length === 1);
  expect(seen).toEqual(["c2", "c3"]);
});

test("a subscription that is forbidden or none ends with the server's error, and the others go on", async () => {
  await using server = await Server.start();
  const client = connect(server, { ...sse, token: token({ tidings: { subscribe: ["content.*"] } }) });
  const errors: TidingsError[] = [];
  const seen: string[] = [];
  const onError = (error: TidingsError) => errors.push(error);
  client.subscribe("user.*", () => {}, { onError });
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  client.subscribe("content.nonsense", () => {}, { onError });
  client.subscribe("content.*", () => {}, { filter: { title: {} as never }, onError });
  await waitFor("the beginning", () => client.position !== null && errors.length === 3);
  expect(errors.map((error) => error.code)).toEqual(["forbidden", "invalid_event_type", "invalid_filter"]);
  await server.publish(numbered(1));
  await waitFor("the event", () => seen.length === 1);
});

test("it publishes what its grant allows, and hears of its own", async () => {
  await using server = await Server.start();
  const client = connect(server, {
    ...sse,
    token: token({ tidings: { subscribe: ["*"], publish: ["content.*"] } }),
  });
  const stream = client.events("content.*");
  await waitFor("the beginning", () => client.position !== null);
  const published = await client.publish({ ...numbered(1), id: "e1" });
  expect(published).toEqual({ eventId: "e1", offset: 1, duplicate: false });
  expect(await client.publish({ ...numbered(1), id: "e1" })).toEqual({ ...published, duplicate: true });
  expect((await stream.next()).value).toMatchObject({ offset: 1, event: { id: "e1" } });
  await expect(client.publish({ type: "content.deleted", data: {} })).rejects.toMatchObject({
    code: "invalid_event",
    details: expect.arrayContaining([expect.objectContaining({ path: "$.data.contentId" })]),
  });
  await expect(
    client.publish({ type: "user.logout", data: { userId: "u1", timestamp: "2026-01-31T08:00:00Z" } }),
  ).rejects.toMatchObject({
    code: "forbidden",
  });
});

test("a server that is killed and comes back costs a gap, and every event after it arrives once", async () => {
  await using server = await Server.start();
  const gaps: Gap[] = [];
  const client = connect(server, { ...sse, onGap: (gap) => gaps.push(gap) });
  const seen: string[] = [];
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await waitFor("the beginning", () => client.position !== null);
  await server.publish(numbered(1));
  await waitFor("the first event", () => seen.length === 1);

  await server.kill();
  await server.restart();
  await waitFor("the connection", () => client.state === "open" && gaps.length === 4);
  await server.publish([numbered(2), numbered(3)]);
  await waitFor("the events", () => seen.length === 3);
  expect(seen).toEqual(["c1", "c2", "c3"]);
  expect(gaps.map((gap) => gap.reason)).toEqual(["epoch", "epoch", "epoch", "epoch"]);
});

test("a token is replaced before it expires, and the stream goes on", async () => {
  await using server = await Server.start({ AUTH__LEEWAY_S: "0" });
  const getToken = vi.fn(() => token({ seconds: 3 }));
  const client = connect(server, { ...sse, getToken });
  const states: string[] = [];
  client.on("state", (state) => states.push(state));
  const seen: string[] = [];
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await waitFor("the third token", () => getToken.mock.calls.length === 3);
  await server.publish(numbered(1));
  await waitFor("the event", () => seen.length === 1);
  expect(states).toEqual(["connecting", "open"]);
});

test.each([60.5, 2 ** 60])("a token that expires after %d s is one like others", async (seconds) => {
  await using server = await Server.start();
  const client = connect(server, { ...sse, token: token({ seconds }) });
  client.start();
  await waitFor("the connection", () => client.state === "open" || client.error !== null);
  expect(client.error).toBeNull();
});

test("a token that the server does not accept ends in unauthorized", async () => {
  await using server = await Server.start();
  const client = connect(server, { ...sse, token: token().replace(/.$/, "") });
  client.subscribe("content.*", () => {});
  await waitFor("the refusal", () => client.state === "unauthorized");
  expect(client.error).toMatchObject({ code: "unauthorized" });
});

test("where WebSocket is blocked it falls back, and returns when it is not", async () => {
  await using server = await Server.start();
  let blocked = true;
  /** One that reaches nothing, as behind a proxy that does not know of upgrades. */
  const nothing = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => nothing.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void nothing.close());
  const { port } = nothing.address() as { port: number };
  const opened: string[] = [];
  class Blockable extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(blocked ? `ws://127.0.0.1:${port}` : url, protocols);
      opened.push(blocked ? "blocked" : "open");
    }
  }
  const client = connect(server, { webSocket: Blockable });
  const seen: string[] = [];
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await waitFor("the beginning", () => client.position !== null);
  await server.publish(numbered(1));
  await waitFor("the event", () => seen.length === 1);
  expect(opened).toEqual(["blocked", "blocked"]);

  blocked = false;
  await server.fetch("/v1/connections?user=u1", {
    method: "DELETE",
    headers: { authorization: `Bearer ${"the-key-of-the-back-end"}` },
  });
  await waitFor("the WebSocket", () => opened.length === 3 && client.state === "open");
  await server.publish(numbered(2));
  await waitFor("the event", () => seen.length === 2);
});

test("without any WebSocket it is used at once", async () => {
  await using server = await Server.start();
  const client = connect(server, { webSocket: undefined as never });
  client.subscribe("content.*", () => {});
  await waitFor("the beginning", () => client.position !== null);
  const list = (await (await server.fetch("/v1/connections")).json()) as {
    connections: { transport: string }[];
  };
  const { WebSocket } = globalThis as { WebSocket?: unknown };
  expect(list.connections.map(({ transport }) => transport)).toEqual([WebSocket ? "websocket" : "sse"]);
});
