/**
 * Requests of all members on their way to the server, in their order, at the pace that the server allows a connection
 * (PROTOCOL §7): more at once are slowed down, not refused.
 */

import { MESSAGE_INTERVAL, MESSAGES_BURST } from "../client/config.ts";

/** A request that waits to be sent. */
export interface Waiting<Owner> {
  /** Whose it is, and under which id; none where it is the line's own. */
  readonly owner?: Owner;
  readonly id?: string;
  /** As it goes to the server, made when it goes; nothing where it need not. */
  written(): object | undefined;
}

export class Outbox<Owner> {
  readonly #send: (text: string) => void;
  #waiting: Waiting<Owner>[] = [];
  #isOpen = false;
  #lastOwner: Owner | undefined;
  /** When all that was sent would have been sent at the long-run rate. */
  #evenAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (text: string) => void) {
    this.#send = send;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Whose request was sent last. */
  get lastOwner(): Owner | undefined {
    return this.#lastOwner;
  }

  push(request: Waiting<Owner>): void {
    this.#waiting.push(request);
    this.#flush();
  }

  /** Takes back what has not been sent: one request of an owner, or all. */
  drop(owner: Owner, id?: string): void {
    this.#waiting = this.#waiting.filter((one) => one.owner !== owner || (id !== undefined && one.id !== id));
  }

  /** What waits may be sent from here on. */
  open(): void {
    this.#isOpen = true;
    this.#flush();
  }

  close(): void {
    this.#isOpen = false;
    clearTimeout(this.#timer);
  }

  /** Sends a message before all that wait. */
  write(message: object): void {
    this.#evenAt = Math.max(this.#evenAt, performance.now()) + MESSAGE_INTERVAL;
    this.#send(JSON.stringify(message));
  }

  #flush(): void {
    clearTimeout(this.#timer);
    while (this.#isOpen && !this.isEmpty) {
      const early = this.#evenAt - (MESSAGES_BURST - 1) * MESSAGE_INTERVAL - performance.now();
      if (0 < early) {
        this.#timer = setTimeout(() => this.#flush(), Math.ceil(early));
        return;
      }
      const next = this.#waiting.shift();
      this.#lastOwner = next?.owner ?? this.#lastOwner;
      const message = next?.written();
      if (message) this.write(message);
    }
  }
}
