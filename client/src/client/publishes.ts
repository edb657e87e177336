/**
 * Events on their way to the server: in order, bounded, sent again after a reconnection with the same event id, so
 * that the server's deduplication makes one of two.
 */

import { TidingsError } from "../errors.ts";
import { EVENT_BYTES_MAX, PUBLISHES_IN_FLIGHT, PUBLISHES_MAX } from "./config.ts";

interface Pending {
  readonly id: string;
  readonly text: string;
  /** Whether it waits for its answer on this connection. */
  sent: boolean;
}

export class Publishes {
  /** By the id that goes over the wire, oldest first. */
  readonly #pending = new Map<string, Pending>();
  #next = 0;
  /**
   * The server has refused one for the moment: one at a time until all are answered, since a server closes on too
   * many refusals.
   */
  #slow = false;

  /** Takes an event, which has an id. Throws where it cannot. */
  publish(id: string, event: unknown): void {
    if (PUBLISHES_MAX <= this.#pending.size) {
      throw new TidingsError(
        "overflow",
        `${PUBLISHES_MAX} events wait for their answer: wait for some of them.`,
      );
    }
    const wireId = `p${this.#next++}`;
    const text = JSON.stringify({ type: "publish", id: wireId, event });
    if (EVENT_BYTES_MAX < new TextEncoder().encode(text).length) {
      throw new TidingsError(
        "invalid_event",
        `An event has at most ${EVENT_BYTES_MAX} bytes: leave something out.`,
      );
    }
    this.#pending.set(wireId, { id, text, sent: false });
  }

  /** Nobody waits for it any more: one that is not on its way is not published. */
  cancel(id: string): void {
    for (const [wireId, one] of this.#pending) if (one.id === id && !one.sent) this.answered(wireId);
  }

  next(): string | undefined {
    const pending = [...this.#pending.values()];
    const one = pending.find(({ sent }) => !sent);
    const most = this.#slow ? 1 : PUBLISHES_IN_FLIGHT;
    if (!one || most <= pending.filter(({ sent }) => sent).length) return undefined;
    one.sent = true;
    return one.text;
  }

  /** The publish that an answer to `wireId` ends. */
  answered(wireId: string): string | undefined {
    const one = this.#pending.get(wireId);
    this.#pending.delete(wireId);
    this.#slow &&= 0 < this.#pending.size;
    return one?.id;
  }

  /** The server could not take what `wireId` names at the moment: it is to be sent again. */
  defer(wireId: string): void {
    const one = this.#pending.get(wireId);
    if (!one) return;
    one.sent = false;
    this.#slow = true;
  }

  disconnected(): void {
    for (const one of this.#pending.values()) one.sent = false;
  }

  /** Gives up all of them. */
  takeAll(): string[] {
    const ids = [...this.#pending.values()].map((one) => one.id);
    this.#pending.clear();
    this.#slow = false;
    return ids;
  }
}
