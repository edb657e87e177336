/** Events to be iterated over: a bounded buffer between a subscription and a loop, which counts what it drops. */

import type { TidingsError } from "../errors.ts";
import type { Delivery } from "../types.ts";
import type { EventStream } from "./api.ts";

/** What feeds a stream. */
export interface Source<E> {
  push(delivery: Delivery<E>): void;
  /** Ends it; what is buffered can still be taken, and then the error comes. */
  end(error: TidingsError | null): void;
}

/** A stream that keeps `most` events at most. `open` is called once; what it returns ends the source. */
export function openStream<E>(most: number, open: (source: Source<E>) => () => void): EventStream<E> {
  const buffer: Delivery<E>[] = [];
  /** Loops that wait, in the order in which they came. */
  const waiting: (() => void)[] = [];
  let dropped = 0;
  let ended: TidingsError | null | undefined;
  let close = () => {};
  const wake = () => {
    for (const go of waiting.splice(0)) go();
  };
  const end = (error: TidingsError | null) => {
    if (ended !== undefined) return;
    ended = error;
    close();
    wake();
  };
  const push = (delivery: Delivery<E>) => {
    if (most < buffer.push(delivery)) {
      buffer.shift();
      dropped++;
    }
    wake();
  };
  close = open({ push, end });
  return {
    get dropped() {
      return dropped;
    },
    async next() {
      while (!buffer[0] && ended === undefined) await new Promise<void>((resolve) => waiting.push(resolve));
      const value = buffer.shift();
      if (value) return { value, done: false };
      if (ended) throw ended;
      return { value: undefined, done: true };
    },
    async return() {
      end(null);
      buffer.length = 0;
      return { value: undefined, done: true };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
