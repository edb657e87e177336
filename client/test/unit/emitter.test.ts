/**
 * The emitter over a fetch that is not one and under virtual time: what it sends when, what it makes of every
 * answer, and what becomes of each event.
 */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  createEventEmitter,
  type EmitterOptions,
  getEventEmitter,
  TidingsError,
} from "../../src/emitter/index.ts";
import { EVENT_PRIORITIES } from "../../src/generated/events.ts";
import { FakeServer } from "../support/fake-server.ts";

let server: FakeServer;

beforeEach(() => {
  vi.useFakeTimers();
  // The longest delay of every draw.
  vi.spyOn(Math, "random").mockReturnValue(1);
  server = new FakeServer();
});

afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function emitterOf(options: EmitterOptions = {}) {
  return createEventEmitter({
    url: "http://tidings.test:8080",
    apiKey: "key",
    fetch: server.fetch,
    onError: () => {},
    ...options,
  });
}

function deleted(contentId: string) {
  return { contentId, title: "Hello", type: "blog", deletedAt: "2026-01-31T08:00:00Z" };
}

/** What a promise comes to, without waiting for it. */
function outcomeOf<T>(promise: Promise<T>) {
  const outcome: { value?: T; error?: TidingsError } = {};
  promise.then(
    (value) => Object.assign(outcome, { value }),
    (error) => Object.assign(outcome, { error }),
  );
  return outcome;
}

describe("batches", () => {
  test("what is emitted within a few ms goes in one request, in its order", async () => {
    const emitter = emitterOf();

    const outcomes = ["a", "b", "c"].map((id) => outcomeOf(emitter.emitContentDeleted(deleted(id))));
    expect(server.requests).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(2);

    expect(server.requests.map(({ url, method, headers }) => [url, method, headers])).toEqual([
      [
        "http://tidings.test:8080/v1/events",
        "POST",
        expect.objectContaining({
          authorization: "Bearer key",
          "content-type": "application/cloudevents-batch+json",
        }),
      ],
    ]);
    expect(server.batches()).toEqual([["a", "b", "c"]]);
    expect(outcomes.map(({ value }) => value?.offset)).toEqual([1, 2, 3]);
    expect(outcomes.map(({ value }) => value?.duplicate)).toEqual([false, false, false]);
    expect(emitter.pending).toBe(0);
  });

  test("what is emitted while a request is under way goes with the next, one request at a time", async () => {
    const emitter = emitterOf();
    server.hold();
    emitter.emitContentDeleted(deleted("a"));
    await vi.advanceTimersByTimeAsync(2);

    emitter.emitContentDeleted(deleted("b"));
    await vi.advanceTimersByTimeAsync(100);
    emitter.emitContentDeleted(deleted("c"));
    await vi.advanceTimersByTimeAsync(100);
    expect(server.batches()).toEqual([["a"]]);
    expect(emitter.pending).toBe(3);

    server.release();
    await emitter.flush();
    expect(server.batches()).toEqual([["a"], ["b", "c"]]);
  });

  test("a request has so many events at most", async () => {
    const emitter = emitterOf({ batchEvents: 2 });

    for (const id of ["a", "b", "c", "d", "e"]) emitter.emitContentDeleted(deleted(id));
    await vi.advanceTimersByTimeAsync(2);

    expect(server.batches()).toEqual([["a", "b"], ["c", "d"], ["e"]]);
  });

  test("a request has a mebibyte of events at most, but one in any case", async () => {
    const emitter = emitterOf();
    const large = (id: string, bytes: number) => ({ ...deleted(id), title: "x".repeat(bytes) });

    for (const id of ["a", "b", "c"]) emitter.emitContentDeleted(large(id, 400_000));
    emitter.emitContentDeleted(large("d", 2_000_000));
    emitter.emitContentDeleted(deleted("e"));
    await vi.advanceTimersByTimeAsync(2);

    expect(server.batches()).toEqual([["a", "b"], ["c"], ["d"], ["e"]]);
  });
});

describe("an event as it is sent", () => {
  test("has an id of its own, the time of the call and the emitter's source", async () => {
    vi.setSystemTime("2026-01-31T08:00:00.500Z");
    const emitter = emitterOf({ source: "/cms" });

    emitter.emitContentDeleted(deleted("a"));
    emitter.emit("content.deleted", deleted("b"), {
      source: "/other",
      subject: "content/b",
      priority: "high",
    });
    await vi.advanceTimersByTimeAsync(2);

    const [first, second] = server.events();
    expect(first).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      source: "/cms",
      type: "content.deleted",
      time: "2026-01-31T08:00:00.500Z",
      data: deleted("a"),
    });
    expect(second).toMatchObject({ source: "/other", subject: "content/b", priority: "high" });
    expect(second?.id).not.toBe(first?.id);
  });

  test("with an id of the publisher's has no time that would make a repeat another event", async () => {
    const emitter = emitterOf();

    emitter.emitContentDeleted(deleted("a"), { id: "job-1" });
    emitter.emitContentDeleted(deleted("a"), { id: "job-2", time: new Date("2026-01-31T08:00:00Z") });
    await vi.advanceTimersByTimeAsync(2);

    expect(server.events()).toEqual([
      { id: "job-1", type: "content.deleted", data: deleted("a") },
      { id: "job-2", type: "content.deleted", time: "2026-01-31T08:00:00.000Z", data: deleted("a") },
    ]);
  });

  test("is what it was when it was emitted", async () => {
    const emitter = emitterOf();
    const data = { ...deleted("a"), deletedAt: new Date("2026-01-31T08:00:00Z") };

    emitter.emitContentDeleted(data);
    data.contentId = "b";
    data.deletedAt.setFullYear(2027);
    await vi.advanceTimersByTimeAsync(2);

    expect(server.events()[0]?.data).toEqual({ ...deleted("a"), deletedAt: "2026-01-31T08:00:00.000Z" });
  });

  test("has a method for each type, named after it", async () => {
    const onError = vi.fn();
    const emitter = emitterOf({ onError });
    const methods = new Map<string, (data: object) => Promise<unknown>>();
    for (
      let proto = Object.getPrototypeOf(emitter);
      proto !== Object.prototype;
      proto = Object.getPrototypeOf(proto)
    ) {
      for (const name of Object.getOwnPropertyNames(proto)) {
        if (/^emit[A-Z]/.test(name) && name !== "emitBatch") methods.set(name, Reflect.get(emitter, name));
      }
    }

    const named = [...methods].map(([name, method]) => {
      method.call(emitter, {});
      return [onError.mock.lastCall?.[1].type, name];
    });

    const words = (type: string) => type.replace(".new_", ".").split(/[._]/);
    const pascal = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
    expect(named).toEqual(
      Object.keys(EVENT_PRIORITIES).map((type) => [type, `emit${words(type).map(pascal).join("")}`]),
    );
    expect(named).toContainEqual(["analytics.new_activity", "emitAnalyticsActivity"]);
  });
});

describe("an event that is not valid", () => {
  test("is refused by path in the server's words, and not sent", async () => {
    const onError = vi.fn();
    const emitter = emitterOf({ onError });

    const outcome = outcomeOf(
      emitter.emit("content.deleted", { contentId: 1, type: "blog", deletedAt: "today" } as never),
    );
    await vi.advanceTimersByTimeAsync(2);

    expect(outcome.error).toBeInstanceOf(TidingsError);
    expect(outcome.error?.code).toBe("invalid_event");
    expect(outcome.error?.details).toEqual([
      { path: "$.data.contentId", message: "must be a string" },
      { path: "$.data.title", message: "is required" },
      { path: "$.data.deletedAt", message: "must be an RFC 3339 timestamp, as in 2026-01-31T08:09:10Z" },
    ]);
    expect(outcome.error?.message).toMatch(/^content\.deleted: \$\.data\.contentId: must be a string; /);
    expect(onError).toHaveBeenCalledExactlyOnceWith(
      outcome.error,
      expect.objectContaining({ type: "content.deleted" }),
    );
    expect(server.requests).toHaveLength(0);
  });

  test.each([
    ["a cycle", () => Object.assign(deleted("a"), { self: {} as object })],
    ["a BigInt", () => ({ ...deleted("a"), size: 1n })],
  ])("%s cannot be written", async (_, make) => {
    const data = make();
    if ("self" in data) data.self = data;
    const outcome = outcomeOf(emitterOf().emitContentDeleted(data));
    await vi.advanceTimersByTimeAsync(2);
    expect(outcome.error?.message).toMatch(/^content\.deleted: \$\.data: cannot be written as JSON: /);
  });

  test("keeps its whole batch from being sent, and each fault has its index", async () => {
    const onError = vi.fn();
    const emitter = emitterOf({ onError });
    const batch = [
      { type: "content.deleted", data: deleted("a") },
      { type: "content.deleted", data: { ...deleted("b"), title: 1 }, id: "" },
    ];

    const outcome = outcomeOf(emitter.emitBatch(batch));
    await vi.advanceTimersByTimeAsync(2);

    expect(outcome.error?.code).toBe("invalid_event");
    expect(outcome.error?.details).toEqual([
      { index: 1, path: "$.id", message: "must have 1 to 128 characters" },
      { index: 1, path: "$.data.title", message: "must be a string" },
    ]);
    expect(onError.mock.calls.map(([, event]) => event)).toEqual(batch);
    expect(server.requests).toHaveLength(0);
  });
});

describe("a request that fails", () => {
  test("is sent again as it was, after a delay that grows to its cap", async () => {
    const emitter = emitterOf();
    server.answerWith(() => {
      throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
    });

    const outcome = outcomeOf(emitter.emitContentDeleted(deleted("a")));
    await vi.advanceTimersByTimeAsync(2);
    await vi.advanceTimersByTimeAsync(91_500);
    const times = server.requests.map(({ at }) => at);
    const delays = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);

    server.answerWith();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(outcome.value).toEqual({ eventId: expect.any(String), offset: 1, duplicate: false });
    expect(new Set(server.requests.map(({ body }) => body)).size).toBe(1);
  });

  test("keeps what comes meanwhile in order behind it", async () => {
    const emitter = emitterOf();
    server.answerOnce(() => new Response("", { status: 500 }));

    emitter.emitContentDeleted(deleted("a"));
    await vi.advanceTimersByTimeAsync(2);
    emitter.emitContentDeleted(deleted("b"));
    await vi.advanceTimersByTimeAsync(500);

    expect(server.batches()).toEqual([["a"], ["a"], ["b"]]);
  });

  test.each([
    ["503 with seconds", 503, () => "3", 3000],
    ["429 with seconds", 429, () => "1", 1000],
    ["503 with a date", 503, () => new Date(Date.now() + 7000).toUTCString(), 7000],
    ["500 without", 500, () => "", 0],
    ["503 with nonsense", 503, () => "soon", 0],
  ])("waits for what Retry-After says: %s", async (_, status, value, wait) => {
    vi.setSystemTime("2026-01-31T08:00:00Z");
    const emitter = emitterOf();
    server.answerOnce(() => new Response("", { status, headers: { "Retry-After": value() } }));
    emitter.emitContentDeleted(deleted("a"));
    await vi.advanceTimersByTimeAsync(2);

    await vi.advanceTimersByTimeAsync(wait + 490);
    expect(server.requests).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(10);
    expect(server.requests).toHaveLength(2);
    expect(emitter.pending).toBe(0);
  });

  test("counts as failed where no answer comes in time", async () => {
    const emitter = emitterOf({ timeout: 1000 });
    server.hold();
    const outcome = outcomeOf(emitter.emitContentDeleted(deleted("a")));

    await vi.advanceTimersByTimeAsync(2 + 1000);
    server.release();
    await vi.advanceTimersByTimeAsync(500);

    expect(server.requests).toHaveLength(2);
    expect(outcome.value?.offset).toBe(1);
  });

  test("is given up once its time is over, and says why it failed", async () => {
    const onError = vi.fn();
    const emitter = emitterOf({ retryFor: 10_000, onError });
    server.answerWith(() => {
      throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
    });

    const first = outcomeOf(emitter.emitContentDeleted(deleted("a")));
    await vi.advanceTimersByTimeAsync(5000);
    const second = outcomeOf(emitter.emitContentDeleted(deleted("b")));
    await vi.advanceTimersByTimeAsync(5000);

    expect(first.error?.code).toBe("connection_failed");
    expect(first.error?.message).toBe(
      "content.deleted: given up after 10000 ms: http://tidings.test:8080/v1/events: connect ECONNREFUSED",
    );
    expect(onError).toHaveBeenCalledExactlyOnceWith(
      first.error,
      expect.objectContaining({ type: "content.deleted", data: deleted("a"), id: expect.any(String) }),
    );
    expect(second.error).toBeUndefined();
    await vi.advanceTimersByTimeAsync(5000);
    expect(second.error?.code).toBe("connection_failed");
    expect(emitter.pending).toBe(0);
  });
});

describe("a refusal", () => {
  const refusal = (status: number, code: string, errors: object[]) =>
    Response.json({ code, detail: "as the server says", errors }, { status });

  test.each([
    [400, "invalid_event"],
    [403, "forbidden"],
    [409, "conflict"],
  ])(
    "%i that names events rejects those with their faults and sends the others again",
    async (status, code) => {
      const emitter = emitterOf();
      server.answerOnce(() =>
        refusal(status, code, [
          { index: 1, path: "$.data.title", message: "is too bold" },
          { index: 1, path: "$.id", message: "is known" },
          { index: 3, path: "$.type", message: "is not a known event type" },
        ]),
      );

      const outcomes = ["a", "b", "c", "d"].map((id) => outcomeOf(emitter.emitContentDeleted(deleted(id))));
      await vi.advanceTimersByTimeAsync(2);

      expect(server.batches()).toEqual([
        ["a", "b", "c", "d"],
        ["a", "c"],
      ]);
      expect(outcomes.map(({ value }) => value?.offset)).toEqual([1, undefined, 2, undefined]);
      expect(outcomes[1]?.error?.code).toBe(code);
      expect(outcomes[1]?.error?.message).toBe("content.deleted: $.data.title: is too bold; $.id: is known");
      expect(outcomes[3]?.error?.details).toEqual([{ path: "$.type", message: "is not a known event type" }]);
    },
  );

  test("of some of a batch tells which, by index", async () => {
    const emitter = emitterOf();
    server.answerOnce(() => refusal(409, "conflict", [{ index: 1, path: "$.id", message: "is known" }]));

    const batch = ["a", "b", "c"].map((id) => ({ type: "content.deleted", data: deleted(id) }));
    const outcome = outcomeOf(emitter.emitBatch(batch));
    await vi.advanceTimersByTimeAsync(2);

    expect(outcome.error?.code).toBe("conflict");
    expect(outcome.error?.message).toBe("1 of 3 events were not published: content.deleted: $.id: is known");
    expect(outcome.error?.details).toEqual([{ index: 1, path: "$.id", message: "is known" }]);
    expect(server.log.map(({ data }) => data)).toEqual([deleted("a"), deleted("c")]);
  });

  test("that names none is narrowed down to the one at fault", async () => {
    const emitter = emitterOf();
    server.answerWith((events) =>
      events.some(({ data }) => JSON.stringify(data).includes("bad"))
        ? Response.json(
            { code: "invalid_message", detail: "the request body is longer than 10 bytes" },
            { status: 413 },
          )
        : undefined,
    );

    const outcomes = ["a", "b", "bad", "c", "d"].map((id) =>
      outcomeOf(emitter.emitContentDeleted(deleted(id))),
    );
    await vi.advanceTimersByTimeAsync(2);

    expect(outcomes.map(({ value }) => value?.offset)).toEqual([1, 2, undefined, 3, 4]);
    expect(outcomes[2]?.error?.code).toBe("invalid_message");
    expect(outcomes[2]?.error?.message).toBe("the request body is longer than 10 bytes");
  });

  test.each([
    [401, { detail: "no token" }, "unauthorized", /does not accept the API key: no token/],
    [403, { code: "forbidden", detail: "not from here" }, "forbidden", /^not from here$/],
    [403, "<html>", "forbidden", /answers 403/],
    [404, {}, "protocol", /answers 404: is this the address of a Tidings server\?/],
    [405, {}, "protocol", /answers 405/],
    [308, "", "protocol", /answers 308 and names https:\/\/other\.test\/: use that address/],
    [200, "<html>", "protocol", /does not answer as a Tidings server does/],
    [200, { results: [] }, "protocol", /does not answer as a Tidings server does/],
    [200, { results: [{ id: 1 }] }, "protocol", /does not answer as a Tidings server does/],
    [418, "", "protocol", /answers 418/],
  ])("%i %j of all is final", async (status, body, code, message) => {
    const emitter = emitterOf();
    server.answerOnce(
      () =>
        new Response(typeof body === "string" ? body : JSON.stringify(body), {
          status,
          headers: { Location: "https://other.test/" },
        }),
    );

    const outcome = outcomeOf(emitter.emitContentDeleted(deleted("a")));
    await vi.advanceTimersByTimeAsync(2);

    expect(outcome.error?.code).toBe(code);
    expect(outcome.error?.message).toMatch(message);
    expect(server.requests).toHaveLength(1);
    // What comes later is sent all the same: the fault may have been mended.
    const later = outcomeOf(emitter.emitContentDeleted(deleted("b")));
    await vi.advanceTimersByTimeAsync(2);
    expect(later.value?.offset).toBe(1);
  });
});

describe("a full queue", () => {
  test("rejects what comes", async () => {
    const emitter = emitterOf({ queueEvents: 2 });

    const outcomes = ["a", "b", "c"].map((id) => outcomeOf(emitter.emitContentDeleted(deleted(id))));
    await vi.advanceTimersByTimeAsync(2);

    expect(outcomes.map(({ error }) => error?.code)).toEqual([undefined, undefined, "overflow"]);
    expect(outcomes[2]?.error?.message).toContain("at most 2 events");
    expect(server.batches()).toEqual([["a", "b"]]);
  });

  test("counts bytes too", async () => {
    const emitter = emitterOf({ queueBytes: 1000 });
    const outcomes = ["a", "b"].map((id) =>
      outcomeOf(emitter.emitContentDeleted({ ...deleted(id), title: "é".repeat(200) })),
    );
    await vi.advanceTimersByTimeAsync(2);
    expect(outcomes.map(({ error }) => error?.code)).toEqual([undefined, "overflow"]);
    // What has left the queue makes room again.
    const later = outcomeOf(emitter.emitContentDeleted({ ...deleted("c"), title: "é".repeat(200) }));
    await vi.advanceTimersByTimeAsync(2);
    expect(later.value?.offset).toBe(2);
  });

  test("drops what waits longest where it is told to, but nothing that is under way", async () => {
    const emitter = emitterOf({ queueEvents: 3, overflow: "drop-oldest", batchEvents: 1 });
    server.hold();
    const emit = (id: string) => outcomeOf(emitter.emitContentDeleted(deleted(id)));

    const outcomes = [emit("a")];
    await vi.advanceTimersByTimeAsync(2);
    outcomes.push(emit("b"), emit("c"), emit("d"), emit("e"));
    server.release();
    await emitter.flush();

    expect(outcomes.map(({ error }) => error?.code)).toEqual([
      undefined,
      "overflow",
      "overflow",
      undefined,
      undefined,
    ]);
    expect(server.batches()).toEqual([["a"], ["d"], ["e"]]);
  });
});

describe("an end", () => {
  test("flush waits for what was emitted before it, and for no more", async () => {
    const emitter = emitterOf();
    server.hold();
    emitter.emitContentDeleted(deleted("a"));
    await vi.advanceTimersByTimeAsync(2);

    let flushed = false;
    const flush = emitter.flush().then(() => {
      flushed = true;
    });
    await vi.advanceTimersByTimeAsync(1000);
    expect(flushed).toBe(false);
    server.release();
    await flush;
    await emitterOf().flush();
  });

  test("close waits for what was emitted, and takes nothing more", async () => {
    const emitter = emitterOf();
    const before = outcomeOf(emitter.emitContentDeleted(deleted("a")));

    const closing = emitter.close();
    const after = outcomeOf(emitter.emitContentDeleted(deleted("b")));
    await vi.advanceTimersByTimeAsync(2);
    await closing;
    await emitter.close();

    expect(before.value?.offset).toBe(1);
    expect(after.error?.code).toBe("stopped");
    expect(emitter.closed).toBe(true);
    expect(server.batches()).toEqual([["a"]]);
  });

  test("close gives up with its signal what is not published by then", async () => {
    const onError = vi.fn();
    const emitter = emitterOf({ onError });
    server.hold();
    const underWay = outcomeOf(emitter.emitContentDeleted(deleted("a")));
    await vi.advanceTimersByTimeAsync(2);
    const waiting = outcomeOf(emitter.emitContentDeleted(deleted("b")));
    const patience = new AbortController();

    const closing = emitter.close({ signal: patience.signal });
    await vi.advanceTimersByTimeAsync(1000);
    patience.abort();
    await closing;

    expect([underWay.error?.code, waiting.error?.code]).toEqual(["stopped", "stopped"]);
    expect(onError).toHaveBeenCalledTimes(2);
    expect(server.requests[0]?.signal?.aborted).toBe(true);
  });

  test.each(["before", "during a request", "during a delay"])("by the emitter's signal: %s", async (when) => {
    const end = new AbortController();
    if (when === "before") end.abort();
    if (when === "during a request") server.hold();
    if (when === "during a delay") server.answerWith(() => new Response("", { status: 503 }));
    const emitter = emitterOf({ signal: end.signal });

    const outcome = outcomeOf(emitter.emitContentDeleted(deleted("a")));
    await vi.advanceTimersByTimeAsync(100);
    end.abort();
    await vi.advanceTimersByTimeAsync(0);

    expect(outcome.error?.code).toBe("stopped");
    expect(emitter.closed).toBe(true);
    expect(emitter.pending).toBe(0);
  });

  test("a wait for the queue ends with its signal, and the events stay", async () => {
    const emitter = emitterOf();
    const outcome = outcomeOf(emitter.emitContentDeleted(deleted("a")));
    const given = outcomeOf(emitter.flush({ signal: AbortSignal.abort() }));
    await vi.advanceTimersByTimeAsync(2);
    expect(given.error?.code).toBe("stopped");
    expect(outcome.value?.offset).toBe(1);
  });

  test("an event is given up with its signal", async () => {
    const onError = vi.fn();
    const emitter = emitterOf({ onError });
    const [before, waiting, underWay] = [AbortSignal.abort(), new AbortController(), new AbortController()];

    const outcomes = [before, waiting.signal, underWay.signal].map((signal, index) =>
      outcomeOf(emitter.emitContentDeleted(deleted(`e${index}`), { signal })),
    );
    waiting.abort();
    server.hold();
    await vi.advanceTimersByTimeAsync(2);
    underWay.abort();
    server.release();
    await vi.advanceTimersByTimeAsync(2);

    expect(outcomes.map(({ error }) => error?.code)).toEqual(["stopped", "stopped", "stopped"]);
    expect(server.batches()).toEqual([["e2"]]);
    // Whoever gave up knows it.
    expect(onError).not.toHaveBeenCalled();
    expect(emitter.pending).toBe(0);
  });
});

describe("what nobody waits for", () => {
  test("is told as a warning, once where the same goes on", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const { onError: _, ...options } = { onError: undefined };
    const emitter = createEventEmitter({
      url: "http://tidings.test",
      apiKey: "key",
      fetch: server.fetch,
      ...options,
    });

    emitter.emit("content.deleted", {} as never);
    emitter.emit("content.deleted", {} as never);
    emitter.emitContentDeleted(deleted("a"));
    await vi.advanceTimersByTimeAsync(2);
    emitter.emit("content.deleted", {} as never);

    expect(warn.mock.calls.map(([message]) => String(message).slice(0, 33))).toEqual([
      "content.deleted: $.data.contentId",
      "content.deleted: $.data.contentId",
    ]);
  });

  test("does no harm where `onError` throws", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const fault = new Error("of the application");
    const emitter = emitterOf({
      onError: () => {
        throw fault;
      },
    });
    const outcome = outcomeOf(emitter.emit("content.deleted", {} as never));
    await vi.advanceTimersByTimeAsync(2);
    expect(outcome.error?.code).toBe("invalid_event");
    expect(warn).toHaveBeenCalledWith(fault);
  });

  test("never is an unhandled rejection", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    server.answerWith(() => new Response("", { status: 401 }));
    const emitter = emitterOf();

    emitter.emitContentDeleted(deleted("a"));
    emitter.emit("content.deleted", {} as never);
    emitter.emitBatch([{ type: "content.deleted", data: {} as never }]);
    emitter.emitBatch([{ type: "content.deleted", data: deleted("b") }]);
    emitter.flush({ signal: AbortSignal.abort() });
    emitter.getStats();
    await vi.advanceTimersByTimeAsync(2);
    vi.useRealTimers();
    await new Promise((resolve) => setImmediate(resolve));

    expect(unhandled).not.toHaveBeenCalled();
    process.off("unhandledRejection", unhandled);
    vi.useFakeTimers();
  });
});

describe("statistics", () => {
  test("are what the server says", async () => {
    const stats = { totalConnections: 5, activeSubscriptions: 15 };
    server.answerOnce(() => Response.json(stats));
    expect(await emitterOf().getStats()).toEqual(stats);
    expect(server.requests[0]).toMatchObject({ url: "http://tidings.test:8080/v1/stats", method: "GET" });
  });

  test.each([
    [new Response("", { status: 401 }), "unauthorized"],
    [Response.json({ code: "forbidden", detail: "for admins" }, { status: 403 }), "forbidden"],
    [new Response("", { status: 404 }), "protocol"],
    [new Response("{}", { status: 200 }), "protocol"],
  ])("are an error where it says something else", async (response, code) => {
    server.answerOnce(() => response);
    await expect(emitterOf().getStats()).rejects.toMatchObject({ code });
  });

  test("are not waited for beyond a signal", async () => {
    server.hold();
    const end = new AbortController();
    const outcome = outcomeOf(emitterOf().getStats({ signal: end.signal }));
    end.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(outcome.error).toBeInstanceOf(TidingsError);
  });
});

describe("configuration", () => {
  test("comes from the environment, and one emitter serves the process until it is closed", async () => {
    vi.stubEnv("TIDINGS_URL", "https://events.test/tidings");
    vi.stubEnv("TIDINGS_API_KEY", " from-a-file\n");
    vi.stubGlobal("fetch", server.fetch);

    const emitter = getEventEmitter();
    emitter.emitContentDeleted(deleted("a"));
    expect(getEventEmitter({ url: "http://other.test" })).toBe(emitter);
    await vi.advanceTimersByTimeAsync(2);
    await emitter.close();
    expect(getEventEmitter()).not.toBe(emitter);
    await getEventEmitter().close();

    expect(server.requests).toMatchObject([
      { url: "https://events.test/tidings/v1/events", headers: { authorization: "Bearer from-a-file" } },
    ]);
    vi.unstubAllEnvs();
  });

  test.each([
    [{ url: "" }, "invalid_url", /pass `url` or set TIDINGS_URL/],
    [{ url: "localhost:8080" }, "invalid_url", /localhost:8080 is not an address of HTTP/],
    [{ url: "ws://localhost:8080" }, "invalid_url", /is not an address of HTTP/],
    [{ url: "http://me:secret@localhost" }, "invalid_url", /must not hold credentials/],
    [{ apiKey: "" }, "unauthorized", /pass `apiKey` or set TIDINGS_API_KEY/],
    [{ apiKey: "a\nb" }, "unauthorized", /characters that no HTTP field can hold/],
  ])("%j is refused at once", (options, code, message) => {
    const make = () => emitterOf(options);
    expect(make).toThrow(TidingsError);
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  test.each([{ batchEvents: 0 }, { queueEvents: 1.5 }, { retryFor: Number.NaN }, { batchDelay: -1 }])(
    "%j is no number for it",
    (options) => {
      expect(() => emitterOf(options)).toThrow(RangeError);
    },
  );
});
