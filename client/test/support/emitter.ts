/** An emitter under virtual time, and the server that is a function behind it; both anew for each test. */

import { afterEach, beforeEach, expect, vi } from "vitest";
import { createEventEmitter, type EmitterOptions, type TidingsError } from "../../src/emitter/index.ts";
import { FakeServer } from "./fake-server.ts";

export const server = new FakeServer();

export function underVirtualTime(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    // The longest delay of every draw.
    vi.spyOn(Math, "random").mockReturnValue(1);
    server.reset();
  });
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });
}

export function emitterOf(options: EmitterOptions = {}) {
  return createEventEmitter({
    url: "http://tidings.test:8080",
    apiKey: "key",
    fetch: server.fetch,
    onError: () => {},
    ...options,
  });
}

export function deleted(contentId: string) {
  return { contentId, title: "Hello", type: "blog", deletedAt: "2026-01-31T08:00:00Z" };
}

/** What a promise comes to, without waiting for it. */
export function outcomeOf<T>(promise: Promise<T>) {
  const outcome: { value?: T; error?: TidingsError } = {};
  promise.then(
    (value) => Object.assign(outcome, { value }),
    (error) => Object.assign(outcome, { error }),
  );
  return outcome;
}
