/** What waits to be published: how much of it, how it ends, and who is told where nobody waits for it. */

import { getEventListeners } from "node:events";
import { describe, expect, test, vi } from "vitest";
import { createEventEmitter } from "../../src/emitter/index.ts";
import { deleted, emitterOf, outcomeOf, server, underVirtualTime } from "../support/emitter.ts";

underVirtualTime();

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

  test("drops nothing for an event that has no room all the same", async () => {
    const emitter = emitterOf({ queueBytes: 1000, overflow: "drop-oldest" });
    const emit = (id: string, chars: number) =>
      outcomeOf(emitter.emitContentDeleted({ ...deleted(id), title: "x".repeat(chars) }));
    const outcomes = [emit("a", 100), emit("larger than the queue", 1000)];
    server.hold();
    await vi.advanceTimersByTimeAsync(2);
    outcomes.push(emit("b", 100), emit("larger than what is under way leaves", 600));
    server.release();
    await emitter.flush();

    expect(outcomes.map(({ error }) => error?.code)).toEqual([undefined, "overflow", undefined, "overflow"]);
    expect(server.batches()).toEqual([["a"], ["b"]]);
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

test("a signal that many events have is listened to by all of them without a warning, and by none later", async () => {
  const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
  const { signal } = new AbortController();
  const emitter = emitterOf();

  emitter.emitBatch(
    Array.from({ length: 20 }, (_, at) => ({ type: "content.deleted", data: deleted(`e${at}`) })),
    { signal },
  );
  expect(getEventListeners(signal, "abort")).toHaveLength(20);
  await vi.advanceTimersByTimeAsync(2);

  expect(getEventListeners(signal, "abort")).toHaveLength(0);
  expect(warn).not.toHaveBeenCalled();
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
