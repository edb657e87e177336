/** What the emitter makes of every answer, and of none: what is sent again, and what is given up. */

import { describe, expect, test, vi } from "vitest";
import { deleted, emitterOf, outcomeOf, server, underVirtualTime } from "../support/emitter.ts";

underVirtualTime();

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
