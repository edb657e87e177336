/** What the emitter sends, and when; what it refuses to send; how it is made. */

import { describe, expect, test, vi } from "vitest";
import { getEventEmitter, TidingsError } from "../../src/emitter/index.ts";
import { EVENT_PRIORITIES } from "../../src/generated/events.ts";
import { deleted, emitterOf, outcomeOf, server, underVirtualTime } from "../support/emitter.ts";

underVirtualTime();

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

  test("may be no event at all", async () => {
    const outcome = outcomeOf(emitterOf().emitBatch([null as never]));
    await vi.advanceTimersByTimeAsync(2);

    expect(outcome.error?.details).toEqual([{ index: 0, path: "$", message: "must be an object" }]);
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
