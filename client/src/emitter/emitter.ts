/**
 * The emitter: events in the order in which they were emitted, one request at a time, each with all that has come
 * meanwhile. An event is published once or its promise rejects; one that is sent again keeps its id, by which the
 * server knows it.
 */

import { setMaxListeners } from "node:events";
import process from "node:process";
import type { PublishedEvent } from "../client/api.ts";
import { TidingsError } from "../errors.ts";
import { TypedEmitter } from "../generated/emitter.ts";
import type { EventType } from "../types.ts";
import type { CheckedBatch, EmitEvent, EmitOptions, EventInput, Fault, ServerStats } from "./api.ts";
import { Emission, write } from "./emission.ts";
import { Queue } from "./queue.ts";
import { batchFailure, batchRefusal, refusal } from "./refusal.ts";
import { type Answer, Server } from "./server.ts";
import type { Settings } from "./settings.ts";
import { quiet, sleep, stopped, unlessAborted } from "./wait.ts";

/** Bytes of events in a request; one that is larger goes alone. */
const BATCH_BYTES_MAX = 1024 * 1024;
/** What is sent again waits a random time: up to so long, after each further failure up to twice as long (PROTOCOL §5). */
const BACKOFF_BASE_MS = 500;
const BACKOFF_MAX_MS = 30_000;

export class TidingsEmitter extends TypedEmitter {
  readonly #settings: Settings;
  readonly #server: Server;
  readonly #queue: Queue;
  /** Ends requests and waits. */
  readonly #end = new AbortController();
  #closed = false;
  #working = false;
  /** Why the last request failed; none after one that was answered. */
  #failure: TidingsError | undefined;
  #warned = "";

  constructor(settings: Settings) {
    super();
    this.#settings = settings;
    this.#server = new Server(settings);
    this.#queue = new Queue(settings.queueEvents, settings.queueBytes);
    const { signal } = settings;
    if (signal === undefined) return;
    const stop = () => this.#stop(stopped("its signal ended the emitter", signal));
    signal.addEventListener("abort", stop);
    this.#end.signal.addEventListener("abort", () => signal.removeEventListener("abort", stop));
    if (signal.aborted) stop();
  }

  /** Whether it takes no events any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** How many events are not published yet. */
  get pending(): number {
    return this.#queue.size;
  }

  /**
   * Publishes an event. The promise resolves once it is in the server's log, and rejects with a `TidingsError` where
   * it is not going to be. It may be left alone.
   */
  override emit<const T extends EventType | (string & {}), const D extends EventInput<T>>(
    type: T,
    data: D,
    options: EmitOptions = {},
  ): Promise<PublishedEvent> {
    const event = { ...options, type, data };
    const text = write(event, this.#settings.source);
    if (typeof text === "string") return this.#enqueue(type, text, options.signal);
    const error = refusal("invalid_event", type, text);
    this.#report(error, event);
    return quiet(Promise.reject(error));
  }

  /**
   * Publishes several events in their order. Where one of them is not valid none is sent, and the error's `details`
   * list the faults by index. Where the server refuses some, the others are published all the same.
   */
  emitBatch<const E extends readonly EmitEvent[]>(
    events: E & CheckedBatch<E>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<PublishedEvent[]> {
    return quiet(this.#emitBatch(events, options.signal));
  }

  /** Resolves once every event that was emitted before is published or given up. */
  flush(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const settled = Promise.allSettled(this.#queue.all().map((emission) => emission.published));
    return quiet(unlessAborted(settled, options.signal).then(() => {}));
  }

  /**
   * Takes no more events, and resolves once all that were emitted are published or given up. The signal ends the
   * wait: what is not published by then is rejected.
   */
  async close(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#closed = true;
    const { signal } = options;
    const stop = () => this.#stop(stopped("the emitter was closed", signal));
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    await this.flush();
    signal?.removeEventListener("abort", stop);
    this.#end.abort();
  }

  /** What the server says about itself. The key must be that of an admin. */
  getStats(options: { readonly signal?: AbortSignal } = {}): Promise<ServerStats> {
    return quiet(this.#server.stats(options.signal ?? new AbortController().signal));
  }

  async #emitBatch(events: readonly EmitEvent[], signal: AbortSignal | undefined): Promise<PublishedEvent[]> {
    const texts: string[] = [];
    const faults: Fault[] = [];
    for (const [index, event] of events.entries()) {
      const text = write(event, this.#settings.source);
      if (typeof text === "string") texts.push(text);
      else faults.push(...text.map((fault) => ({ index, ...fault })));
    }
    if (0 < faults.length) {
      const error = batchRefusal(faults);
      for (const event of events) this.#report(error, event);
      throw error;
    }
    const emitted = events.map((event, index) => this.#enqueue(event.type, texts[index] ?? "", signal));
    const results = await Promise.allSettled(emitted);
    const failure = batchFailure(events, results);
    if (failure !== undefined) throw failure;
    return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  }

  #enqueue(type: string, text: string, signal: AbortSignal | undefined): Promise<PublishedEvent> {
    const emission = new Emission(type, text, performance.now() + this.#settings.retryFor);
    if (signal?.aborted) {
      emission.settle(stopped("its signal was aborted before", signal));
    } else if (this.#closed) {
      this.#fail(emission, stopped("the emitter is closed"));
    } else if (this.#makeRoom(emission.bytes)) {
      this.#queue.add(emission);
      if (signal !== undefined) this.#endWith(emission, signal);
      void this.#work();
    } else {
      const { queueEvents, queueBytes } = this.#settings;
      const message = `${type}: the queue is full (at most ${queueEvents} events, ${queueBytes} bytes)`;
      this.#fail(emission, new TidingsError("overflow", message, { cause: this.#failure }));
    }
    return emission.published;
  }

  /** Whether there is room in the queue for so many bytes, as its policy makes it. Nothing gives way in vain. */
  #makeRoom(bytes: number): boolean {
    const gives = this.#settings.overflow === "drop-oldest" && this.#queue.admits(bytes);
    while (!this.#queue.fits(bytes)) {
      const oldest = gives ? this.#queue.oldest() : undefined;
      if (oldest === undefined) return false;
      const message = `${oldest.type}: given up for a newer event, since the queue is full`;
      this.#fail(oldest, new TidingsError("overflow", message, { cause: this.#failure }));
    }
    return true;
  }

  #endWith(emission: Emission, signal: AbortSignal): void {
    const end = () => this.#settle(emission, stopped("its signal ended the wait", signal));
    // However many events have it, they all leave it again: Node need not warn of a leak.
    setMaxListeners(0, signal);
    signal.addEventListener("abort", end);
    const forget = () => signal.removeEventListener("abort", end);
    emission.published.then(forget, forget);
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    await sleep(this.#settings.batchDelay, this.#end.signal);
    const take = () => this.#queue.take(this.#settings.batchEvents, BATCH_BYTES_MAX);
    for (let batch = take(); 0 < batch.length; batch = take()) {
      await this.#deliver(batch);
    }
    this.#working = false;
  }

  /** Sends a batch until it is clear what becomes of each of its events. */
  async #deliver(batch: readonly Emission[]): Promise<void> {
    for (let failures = 0; ; failures++) {
      const open = batch.filter((emission) => this.#isOpen(emission));
      const [first] = open;
      if (first === undefined) return;
      const texts = open.map((emission) => emission.text);
      const answer = await this.#server.publish(texts, this.#end.signal);
      if (answer.kind !== "failed") {
        this.#failure = undefined;
        return this.#conclude(open, answer);
      }
      this.#failure = answer.error;
      const spread = Math.min(BACKOFF_BASE_MS * 2 ** failures, BACKOFF_MAX_MS);
      const left = first.deadline - performance.now();
      await sleep(Math.max(0, Math.min(answer.after + Math.random() * spread, left)), this.#end.signal);
    }
  }

  /** Whether an event is still to be sent. One whose time is over is given up, where the server does not answer. */
  #isOpen(emission: Emission): boolean {
    const failure = this.#failure;
    if (failure !== undefined && emission.deadline <= performance.now()) {
      const message = `${emission.type}: given up after ${this.#settings.retryFor} ms: ${failure.message}`;
      this.#fail(emission, new TidingsError(failure.code, message, { cause: failure }));
    }
    return this.#queue.has(emission);
  }

  async #conclude(batch: readonly Emission[], answer: Exclude<Answer, { kind: "failed" }>): Promise<void> {
    if (answer.kind === "published") {
      for (const [index, emission] of batch.entries()) {
        const result = answer.results[index];
        if (result !== undefined) this.#settle(emission, result);
      }
      this.#warned = "";
    } else if (answer.kind === "faulty") {
      for (const [index, faults] of answer.faults) {
        const emission = batch[index];
        if (emission !== undefined) this.#fail(emission, refusal(answer.error.code, emission.type, faults));
      }
      await this.#deliver(batch);
    } else if (answer.kind === "divisible" && 1 < batch.length) {
      const half = Math.ceil(batch.length / 2);
      await this.#deliver(batch.slice(0, half));
      await this.#deliver(batch.slice(half));
    } else {
      for (const emission of batch) this.#fail(emission, answer.error);
    }
  }

  #stop(error: TidingsError): void {
    this.#closed = true;
    for (const emission of this.#queue.all()) this.#fail(emission, error);
    this.#end.abort();
  }

  #fail(emission: Emission, error: TidingsError): void {
    if (this.#settle(emission, error)) this.#report(error, emission.read());
  }

  /** Whether that is the event's outcome, and not a later one. */
  #settle(emission: Emission, outcome: PublishedEvent | TidingsError): boolean {
    this.#queue.delete(emission);
    return emission.settle(outcome);
  }

  /** Tells of an event that was not published; without `onError` as a warning, once where the same goes on. */
  #report(error: TidingsError, event: EmitEvent): void {
    const { onError } = this.#settings;
    if (onError === undefined) {
      if (error.message !== this.#warned) process.emitWarning(error.message, "TidingsWarning");
      this.#warned = error.message;
      return;
    }
    try {
      onError(error, event);
    } catch (thrown) {
      process.emitWarning(thrown instanceof Error ? thrown : String(thrown));
    }
  }
}
