/**
 * Events on their way to the server: in order, bounded, sent again after a reconnection with the same event id, so
 * that the server's deduplication makes one of two.
 */

import { TidingsError } from "../errors.ts";
import { EVENT_BYTES_MAX, PUBLISHES_IN_FLIGHT, PUBLISHES_MAX } from "./config.ts";

interface Pending {
  readonly id: string;
  readonly text: string;
  stage: "unsent" | "deferred" | "sent";
}

export class Publishes {
  /** By the id that goes over the wire, oldest first. */
  readonly #pending = new Map<string, Pending>();
  #sent = 0;
  #next = 0;
  /**
   * The server has refused one for the moment: one at a time until all are answered, since a server closes on too
   * many refusals.
   */
  #slow = false;

  /** Takes an event, or says why not. The event has an id. */
  publish(id: string, event: unknown): TidingsError | undefined {
    if (PUBLISHES_MAX <= this.#pending.size) {
      return new TidingsError(
        "overflow",
        `${PUBLISHES_MAX} events wait for their answer: wait for some of them.`,
      );
    }
    const wireId = `p${this.#next++}`;
    let text: string;
    try {
      text = JSON.stringify({ type: "publish", id: wireId, event });
    } catch (cause) {
      return new TidingsError("invalid_event", "An event must be writable as JSON.", { cause });
    }
    if (EVENT_BYTES_MAX < new TextEncoder().encode(text).length) {
      return new TidingsError(
        "invalid_event",
        `An event has at most ${EVENT_BYTES_MAX} bytes: leave something out.`,
      );
    }
    this.#pending.set(wireId, { id, text, stage: "unsent" });
    return undefined;
  }

  /** Nobody waits for it any more: one that has not been sent is not published. */
  cancel(id: string): void {
    for (const [wireId, one] of this.#pending) {
      if (one.id === id && one.stage !== "sent") this.answered(wireId);
    }
  }

  nextMessage(): string | undefined {
    if ((this.#slow ? 1 : PUBLISHES_IN_FLIGHT) <= this.#sent) return undefined;
    for (const one of this.#pending.values()) {
      if (one.stage !== "unsent") continue;
      one.stage = "sent";
      this.#sent++;
      return one.text;
    }
    return undefined;
  }

  /** The publish that an answer to `wireId` ends. */
  answered(wireId: string): string | undefined {
    const one = this.#pending.get(wireId);
    if (one?.stage === "sent") this.#sent--;
    this.#pending.delete(wireId);
    this.#slow &&= this.#pending.size !== 0;
    return one?.id;
  }

  /** The server could not take what `wireId` names at the moment: whether it is to be sent again. */
  defer(wireId: string): boolean {
    const one = this.#pending.get(wireId);
    if (one?.stage !== "sent") return false;
    one.stage = "deferred";
    this.#sent--;
    this.#slow = true;
    return true;
  }

  flush(): void {
    for (const one of this.#pending.values()) if (one.stage === "deferred") one.stage = "unsent";
  }

  disconnected(): void {
    for (const one of this.#pending.values()) one.stage = "unsent";
    this.#sent = 0;
  }

  /** Gives up all of them. */
  takeAll(): string[] {
    const ids = [...this.#pending.values()].map((one) => one.id);
    this.#pending.clear();
    this.#sent = 0;
    this.#slow = false;
    return ids;
  }
}
