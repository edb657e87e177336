/**
 * Events on their way to the server: in order, bounded, sent again after a reconnection with the same event id, so
 * that the server's deduplication makes one of two. Few pages publish, so the machine does without until one does.
 */

import { TidingsError } from "../errors.ts";
import {
  EVENT_BYTES_MAX,
  MESSAGE_INTERVAL,
  MESSAGES_BURST,
  PUBLISHES_IN_FLIGHT,
  PUBLISHES_MAX,
} from "./config.ts";
import type { Handlers, Inputs, Output } from "./io.ts";
import { type Receivers, whole } from "./messages.ts";

interface Pending {
  readonly id: string;
  readonly request: object;
  /** Whether it waits for its answer on this connection. */
  sent: boolean;
}

export class Publishes {
  readonly #tell: (...output: Output) => void;
  readonly #hold: (until: number) => void;
  readonly #newId: () => string;
  readonly #isStopped: () => boolean;
  /** By the id that goes over the wire, oldest first. */
  readonly #pending = new Map<string, Pending>();
  #next = 0;
  /**
   * The server has refused one for the moment: one at a time until all are answered, since a server closes on too
   * many refusals.
   */
  #slow = false;

  /** When all that was sent would have been sent at the long-run rate. */
  #evenAt = 0;

  /** What the application wants. */
  readonly inputs: Handlers<Pick<Inputs, "publish" | "cancel">> = {
    publish: (id, event) => this.#publish(id, event),

    /** One that is not on its way is not published. */
    cancel: (id) => {
      for (const [wireId, one] of this.#pending) if (one.id === id && !one.sent) this.#answered(wireId);
    },
  };

  /** What each message of the server does. */
  readonly messages: Receivers<"published"> = {
    published: ({ id, eventId, offset, duplicate }) => {
      const result = { eventId, offset: whole(offset), duplicate };
      const publish = this.#answered(id);
      if (publish) this.#tell("published", publish, result);
    },
  };

  /** `hold` holds back all requests until an instant; `isStopped` tells whether the client is. */
  constructor(
    tell: (...output: Output) => void,
    hold: (until: number) => void,
    newId: () => string,
    isStopped: () => boolean,
  ) {
    this.#tell = tell;
    this.#hold = hold;
    this.#newId = newId;
    this.#isStopped = isStopped;
  }

  /** Takes an event, or tells why not. With an id of its own, what is sent again is published once. */
  #publish(id: string, event: Inputs["publish"][1]): void {
    const withId = { ...event, id: event.id ?? this.#newId() };
    const request = { type: "publish", id: `p${this.#next++}`, event: withId };
    const refuse = (code: string, message: string) => {
      this.#tell("error", new TidingsError(code, message), id);
    };
    try {
      if (this.#isStopped()) {
        refuse("stopped", "`start` the client to publish");
      } else if (PUBLISHES_MAX <= this.#pending.size) {
        refuse("overflow", `${PUBLISHES_MAX} events wait for their answer: wait for some of them`);
      } else if (EVENT_BYTES_MAX < new TextEncoder().encode(JSON.stringify(request)).length) {
        refuse("invalid_event", `An event has at most ${EVENT_BYTES_MAX} bytes: leave something out`);
      } else {
        this.#pending.set(request.id, { id, request, sent: false });
      }
    } catch (error) {
      refuse("invalid_event", `An event is an object that JSON can write: ${error}`);
    }
  }

  /**
   * The next request. They are kept within what the server takes from one connection (PROTOCOL §7), so that an
   * application in a hurry is slowed down and not closed with 4429.
   */
  next(now: number): object | undefined {
    const pending = [...this.#pending.values()];
    const one = pending.find(({ sent }) => !sent);
    const most = this.#slow ? 1 : PUBLISHES_IN_FLIGHT;
    if (!one || most <= pending.filter(({ sent }) => sent).length) return undefined;
    const freeAt = this.#evenAt - (MESSAGES_BURST - 1) * MESSAGE_INTERVAL;
    if (now < freeAt) {
      this.#hold(freeAt);
      return undefined;
    }
    this.#evenAt = Math.max(this.#evenAt, now) + MESSAGE_INTERVAL;
    one.sent = true;
    return one.request;
  }

  refused(wireId: string, error: TidingsError): void {
    const publish = this.#answered(wireId);
    if (publish) this.#tell("error", error, publish);
  }

  /** The server could not take what `wireId` names at the moment: it is to be sent again. */
  defer(wireId: string): void {
    const one = this.#pending.get(wireId);
    if (!one) return;
    one.sent = false;
    this.#slow = true;
  }

  disconnected(): void {
    this.#evenAt = 0;
    for (const one of this.#pending.values()) one.sent = false;
  }

  /** Gives up all of them. */
  stop(error: TidingsError): void {
    for (const wireId of [...this.#pending.keys()]) this.refused(wireId, error);
  }

  /** The publish that an answer to `wireId` ends. */
  #answered(wireId: string): string | undefined {
    const one = this.#pending.get(wireId);
    this.#pending.delete(wireId);
    this.#slow &&= 0 < this.#pending.size;
    return one?.id;
  }
}

/** 128 random bits; `randomUUID` is not there on pages over `http:`. */
export function newId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
