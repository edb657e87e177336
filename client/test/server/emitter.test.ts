/** The emitter against the real server: what it publishes is in the log once, whatever happens to server and connection. */

import { afterEach, expect, test } from "vitest";
import {
  createEventEmitter,
  type EmitterOptions,
  type EventType,
  type Fault,
} from "../../src/emitter/index.ts";
import { faultsOf, type Kind } from "../../src/emitter/validate.ts";
import { FIELDS } from "../../src/generated/emitter.ts";
import { EVENT_PRIORITIES } from "../../src/generated/events.ts";
import { type Cut, Cutter } from "../support/cutter.ts";
import { API_KEY, numbered, Server, type Settings, token, waitFor } from "../support/server.ts";

const emitters: { close(options: { signal: AbortSignal }): Promise<void> }[] = [];

afterEach(async () => {
  await Promise.all(emitters.splice(0).map((emitter) => emitter.close({ signal: AbortSignal.abort() })));
});

function emitterOf(url: string, options: EmitterOptions = {}) {
  const emitter = createEventEmitter({ url, apiKey: API_KEY, onError: () => {}, ...options });
  emitters.push(emitter);
  return emitter;
}

interface Logged {
  readonly offset: number;
  readonly event: { readonly id: string; readonly type: string; readonly data: unknown };
}

/** All that is in the log, in its order. */
async function logOf(server: Server): Promise<Logged[]> {
  const found: Logged[] = [];
  for (let after = -1, next = 0; after < next; ) {
    after = next;
    const response = await server.fetch(`/v1/events?after=${after}&limit=1000`, {}, token());
    const page = (await response.json()) as { events: Logged[]; next: number };
    found.push(...page.events);
    next = page.next;
  }
  return found;
}

/** A value of a kind. */
function sample(kind: Kind): unknown {
  const values: Record<string, unknown> = {
    any: { anything: null },
    string: "text",
    timestamp: new Date("2026-01-31T08:00:00Z"),
    number: 1.5,
    array: [1, { two: 2 }],
    strings: ["a", "b"],
    "string|number": 404,
    "string|object": { city: "Bern" },
    "object|array": { title: ["old", "new"] },
  };
  return typeof kind === "string" ? values[kind] : kind.at(-1);
}

/** Data of a type with all its fields, or with the required ones alone. */
function dataOf(type: EventType, which: "all" | "required"): object {
  const fields = Object.entries(FIELDS[type]).filter(([name]) => which === "all" || !name.endsWith("?"));
  return Object.fromEntries(fields.map(([name, kind]) => [name.replace("?", ""), sample(kind)]));
}

test("the server takes each of the 25 types as the emitter sends them", async () => {
  await using server = await Server.start();
  const emitter = emitterOf(server.url);
  const types = Object.keys(EVENT_PRIORITIES) as EventType[];
  const batch = types.flatMap((type) => [
    { type, data: dataOf(type, "all") },
    { type, data: dataOf(type, "required") },
  ]);

  const published = await emitter.emitBatch(batch as never[]);

  expect(types).toHaveLength(25);
  const log = await logOf(server);
  expect(log.map(({ event, offset }) => ({ eventId: event.id, offset, duplicate: false }))).toEqual(
    published,
  );
  expect(log.map(({ event }) => ({ type: event.type, data: event.data }))).toEqual(
    JSON.parse(JSON.stringify(batch)),
  );
});

test("what the emitter refuses the server refuses, in the same words", async () => {
  await using server = await Server.start();
  const wrong: unknown[] = [null, true, 1, "text", [], [1], {}];
  const events = Object.entries(FIELDS).flatMap(([type, fields]) =>
    Object.keys(fields).flatMap((name) =>
      wrong.map((value) => ({
        type,
        data: { ...dataOf(type as EventType, "required"), [name.replace("?", "")]: value },
      })),
    ),
  );

  // The server lists a thousand faults at most.
  for (let start = 0; start < events.length; start += 500) {
    const part = JSON.parse(JSON.stringify(events.slice(start, start + 500))) as (typeof events)[number][];
    const response = await server.fetch("/v1/events", { method: "POST", body: JSON.stringify(part) });
    const { errors } = (await response.json()) as { errors: Fault[] };
    const ours = part.flatMap((event, index) => faultsOf(event).map((fault) => ({ index, ...fault })));
    expect(ours).toEqual(errors);
  }
});

test("under load events go in large batches, in their order, over few connections", async () => {
  await using server = await Server.start();
  let requests = 0;
  const counted: typeof fetch = (...request) => {
    requests += 1;
    return fetch(...request);
  };
  const emitter = emitterOf(server.url, { fetch: counted });

  const published = await Promise.all(
    Array.from({ length: 5000 }, (_, index) => emitter.emitContentPublished(numbered(index).data)),
  );

  const log = await logOf(server);
  expect(log.map(({ event }) => event.data)).toEqual(
    Array.from({ length: 5000 }, (_, index) => numbered(index).data),
  );
  expect(published.map(({ offset }) => offset)).toEqual(log.map(({ offset }) => offset));
  expect(requests).toBeLessThanOrEqual(6);
  expect((await emitter.getStats()).sockets).toBeLessThanOrEqual(3);
});

test("connections that break at any point lose nothing and repeat nothing", async () => {
  await using server = await Server.start();
  // Within the request, before its answer, within its answer, and each again once some have gone well.
  const plan: Cut[] = [{ sent: 0 }, { sent: 700 }, { received: 0 }, { received: 60 }];
  plan.push({ sent: 9000 }, { received: 1500 }, { received: 2000 });
  await using cutter = await Cutter.start(server, plan);
  const emitter = emitterOf(cutter.url, { batchEvents: 20 });

  const batch = Array.from({ length: 400 }, (_, index) => numbered(index));
  const published = await emitter.emitBatch(batch);

  const log = await logOf(server);
  expect(log.map(({ event }) => event.data)).toEqual(batch.map(({ data }) => data));
  expect(log.map(({ offset }) => offset)).toEqual(published.map(({ offset }) => offset));
  expect(cutter.cuts).toBe(plan.length);
});

test.each(["kill", "stop"] as const)(
  "a server that goes (%s) and comes back while events flow loses none and has none twice",
  async (how) => {
    await using server = await Server.start();
    const emitter = emitterOf(server.url, { batchEvents: 10 });
    const total = 1000;
    const offsets: number[] = [];
    let published = 0;
    // A hundred publishers, each of which goes on with the next event once one is published.
    const publisher = async () => {
      for (let index = offsets.length; index < total; index = offsets.length) {
        offsets.push(0);
        const { offset } = await emitter.emitContentPublished(numbered(index).data);
        offsets[index] = offset;
        published += 1;
      }
    };

    const publishers = Promise.all(Array.from({ length: 100 }, publisher));
    await waitFor("events flow", () => 200 < published);
    await server[how]();
    await server.restart();
    await publishers;

    // The first life's log, which is gone, had all that the second's has not; both began at offset 1.
    const second = await logOf(server);
    const first = total - second.length;
    expect(first).toBeGreaterThan(200);
    expect(second.map(({ event }) => event.data)).toEqual(
      Array.from({ length: second.length }, (_, index) => numbered(first + index).data),
    );
    expect(offsets).toEqual(
      Array.from({ length: total }, (_, index) => (index < first ? index + 1 : index + 1 - first)),
    );
  },
);

test("the same id and content again is the same event, other content a conflict", async () => {
  await using server = await Server.start();
  const emitter = emitterOf(server.url);
  const first = await emitter.emitContentPublished(numbered(1).data, { id: "job-1" });

  const again = await emitter.emitContentPublished(numbered(1).data, { id: "job-1" });
  const [other, good] = await Promise.allSettled([
    emitter.emitContentPublished(numbered(2).data, { id: "job-1" }),
    emitter.emitContentPublished(numbered(3).data),
  ]);

  expect(again).toEqual({ ...first, duplicate: true });
  expect(other).toMatchObject({ status: "rejected", reason: { code: "conflict" } });
  expect(other).toMatchObject({
    reason: { details: [{ path: "$.id", message: "this id was published with other content" }] },
  });
  expect(good).toMatchObject({ status: "fulfilled" });
});

test("what the server alone can know rejects the event and none beside it", async () => {
  const settings: Settings = { LIMITS__EVENT_BYTES: "2000" };
  await using server = await Server.start(settings);
  const emitter = emitterOf(server.url);

  const outcomes = await Promise.allSettled([
    emitter.emitContentPublished(numbered(1).data),
    emitter.emit("shop.ordered", { orderId: 1 }),
    emitter.emitContentPublished({ ...numbered(2).data, title: "x".repeat(2000) }),
    emitter.emitContentPublished({ ...numbered(3).data, title: "\ud800" }),
    emitter.emitContentPublished(numbered(4).data),
  ]);

  expect(
    outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason.message : "published")),
  ).toEqual([
    "published",
    'shop.ordered: $.type: "shop.ordered" is not a known event type',
    "content.published: $: the event is larger than 2000 bytes",
    expect.stringMatching(/^content\.published: \$: is not JSON: /),
    "published",
  ]);
});

test("a batch that is too large for the server goes in parts", async () => {
  await using server = await Server.start({
    LIMITS__EVENT_BYTES: "4000",
    HTTP__BODY_BYTES: "4000",
    HTTP__BATCH: "7",
  });
  const emitter = emitterOf(server.url);
  const large = { ...numbered(50).data, title: "x".repeat(8000) };

  const outcomes = await Promise.allSettled(
    Array.from({ length: 100 }, (_, index) =>
      emitter.emitContentPublished(index === 50 ? large : numbered(index).data),
    ),
  );

  const rejected = outcomes.flatMap((outcome, index) =>
    outcome.status === "rejected" ? [[index, outcome.reason.message]] : [],
  );
  expect(rejected).toEqual([[50, "the request body is longer than 4000 bytes"]]);
  expect(await logOf(server)).toHaveLength(99);
});

test("a key that the server does not know is told, also with a large batch", async () => {
  await using server = await Server.start();
  const emitter = emitterOf(server.url, { apiKey: "of-another-server" });
  const large = { ...numbered(1).data, title: "x".repeat(60_000) };
  const outcomes = await Promise.allSettled(
    Array.from({ length: 40 }, () => emitter.emitContentPublished(large)),
  );
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "unauthorized" } });
  }
  await expect(emitter.getStats()).rejects.toMatchObject({ code: "unauthorized" });
});

test("what the key's grant does not allow is told by event", async () => {
  const narrow = { key: "narrow", name: "cms", publish: ["content.*"], max_priority: "normal" };
  await using server = await Server.start({ AUTH__API_KEYS: JSON.stringify([narrow]), API_KEYS: "" });
  const emitter = emitterOf(server.url, { apiKey: "narrow" });
  const login = { userId: "u1", timestamp: new Date() };

  const outcomes = await Promise.allSettled([
    emitter.emitContentPublished(numbered(1).data),
    emitter.emitUserLogin(login),
    emitter.emitContentPublished(numbered(2).data, { priority: "critical" }),
  ]);

  expect(outcomes).toMatchObject([
    { status: "fulfilled" },
    { reason: { code: "forbidden", details: [{ path: "$.type" }] } },
    { reason: { code: "forbidden", details: [{ path: "$.priority" }] } },
  ]);
  await expect(emitter.getStats()).rejects.toMatchObject({ code: "forbidden" });
});

test("the statistics are all that the server gives", async () => {
  await using server = await Server.start();
  const emitter = emitterOf(server.url);
  await emitter.emitContentPublished(numbered(1).data);

  const stats = await emitter.getStats();

  const nothing = { queued: 0, catchUp: 0 };
  expect(stats).toEqual({
    version: expect.any(String),
    uptimeMs: expect.any(Number),
    totalConnections: 0,
    activeSubscriptions: 0,
    definitions: 0,
    users: 0,
    sockets: expect.any(Number),
    connections: { websocket: 0, sse: 0, http: expect.any(Number), closing: 0 },
    epoch: expect.any(String),
    offset: 1,
    historyEvents: 1,
    historyBytes: expect.any(Number),
    eventsPublished: 1,
    eventsDelivered: 0,
    published: { "content.published": { normal: 1 } },
    delivered: {},
    duplicates: 0,
    queued: 0,
    catchingUp: 0,
    catchUp: 0,
    lanes: { critical: nothing, high: nothing, normal: nothing, low: nothing },
    slowConsumers: 0,
    overflows: 0,
    gaps: 0,
    gapsByReason: { expired: 0, epoch: 0 },
    conflated: 0,
    closes: {},
    errors: {},
    refusals: {},
    latency: { boundsUs: expect.any(Array), counts: expect.any(Array), sumUs: 0 },
    draining: false,
  });
});
