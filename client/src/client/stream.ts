/** Events to be iterated over: a bounded buffer between a subscription and a loop, which counts what it drops. */

import type { TidingsError } from "../errors.ts";
import type { Delivery } from "../types.ts";
import type { EventStream } from "./api.ts";

export class BufferedStream<E> implements EventStream<E> {
  readonly #most: number;
  readonly #close: () => void;
  #buffer: Delivery<E>[] = [];
  /** Who waits for the next one. */
  #waiting: {
    resolve(result: IteratorResult<Delivery<E>, undefined>): void;
    reject(error: unknown): void;
  }[] = [];
  #dropped = 0;
  /** `null` where it ended without an error. */
  #end: TidingsError | null | undefined;

  /** `close` ends the subscription. */
  constructor(most: number, close: () => void) {
    this.#most = most;
    this.#close = close;
  }

  get dropped(): number {
    return this.#dropped;
  }

  push(delivery: Delivery<E>): void {
    const next = this.#waiting.shift();
    if (next) {
      next.resolve({ done: false, value: delivery });
      return;
    }
    this.#buffer.push(delivery);
    if (this.#buffer.length <= this.#most) return;
    this.#buffer.shift();
    this.#dropped++;
  }

  /** Ends it; what is buffered can still be taken, and then the error comes. */
  end(error: TidingsError | null): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#close();
    const [first, ...others] = this.#waiting.splice(0);
    if (error) first?.reject(error);
    else first?.resolve(DONE);
    for (const other of others) other.resolve(DONE);
    if (first) this.#end = null;
  }

  async next(): Promise<IteratorResult<Delivery<E>, undefined>> {
    const value = this.#buffer.shift();
    if (value) return { done: false, value };
    if (this.#end === undefined)
      return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    const error = this.#end;
    this.#end = null;
    if (error) throw error;
    return DONE;
  }

  async return(): Promise<IteratorResult<Delivery<E>, undefined>> {
    this.#buffer = [];
    this.end(null);
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
