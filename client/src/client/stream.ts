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
  let dropped = 0;
  let ended: TidingsError | null | undefined;
  let wake = () => {};
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
  const close = open({ push, end });
  async function* take(): AsyncGenerator<Delivery<E>, undefined> {
    for (;;) {
      const next = buffer.shift();
      if (next) {
        yield next;
      } else if (ended === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if (ended) {
        throw ended;
      } else {
        return;
      }
    }
  }
  const taken = take();
  return {
    get dropped() {
      return dropped;
    },
    next: () => taken.next(),
    return: () => {
      // A loop that waits for the next event would wait for ever.
      end(null);
      return taken.return(undefined);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
