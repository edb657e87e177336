/** The client's token: when to ask for one, which ones not to try again, when to replace one in time. */

import { REFRESH_LEAD } from "./config.ts";
import type { Now } from "./session.ts";

/** The token that the next connection uses. */
interface Current {
  readonly token: string;
  /** Whether the server has accepted it. */
  proven: boolean;
  /** As the server said; Unix time in ms. */
  expires: number | undefined;
}

/** What a token from the application is worth; the server has said so of what is not usable. */
export type Verdict = "usable" | "expired" | "rejected";

export class Credentials {
  #current: Current | undefined;
  /** Closed with 4401 or 4403 on it. */
  #rejected: string | undefined;
  /** Closed with 4419 on it. */
  #expired: string | undefined;
  /** An answer is owed. */
  #asking = false;
  /** The question waits to be polled. */
  #toAsk = false;

  get current(): string | undefined {
    return this.#current?.token;
  }

  /** Asks for a token, unless an answer is owed already. */
  ask(): void {
    this.#toAsk ||= !this.#asking;
    this.#asking = true;
  }

  /** Whether the application is to be asked now. */
  takeQuestion(): boolean {
    const asks = this.#toAsk;
    this.#toAsk = false;
    return asks;
  }

  /** Takes the question back where nobody has heard it. */
  cancel(): void {
    if (this.takeQuestion()) this.#asking = false;
  }

  answered(): void {
    this.#asking = false;
    this.#toAsk = false;
  }

  /** Whether there is a token to connect with; else one must be asked for first. */
  isFresh({ unix }: Now): boolean {
    const expires = this.#current?.expires;
    return this.#current !== undefined && (expires === undefined || unix < expires);
  }

  /** Takes a token from the application. */
  take(token: string): Verdict {
    if (this.#rejected === token) return "rejected";
    if (this.#expired === token) return "expired";
    if (this.current !== token) this.#current = { token, proven: false, expires: undefined };
    return "usable";
  }

  forget(): void {
    this.#current = undefined;
  }

  /** The server has accepted `token`. */
  accepted(token: string, expires: number | undefined): void {
    this.#rejected = undefined;
    this.#expired = undefined;
    if (this.current === token) this.#current = { token, proven: true, expires };
  }

  /** The server refuses `offered` and keeps `used`. */
  refused(offered: string, used: string, expires: number | undefined): void {
    if (this.current === offered) this.#current = { token: used, proven: true, expires };
  }

  /**
   * The server has closed on `token`: whether there is a reason to ask for another. There is none where the
   * application has given this one just for the connection that failed.
   */
  rejected(token: string): boolean {
    const current = this.#current?.token === token ? this.#current : undefined;
    if (current) this.forget();
    this.#rejected = token;
    return current === undefined || current.proven;
  }

  expired(token: string): void {
    if (this.current === token) this.forget();
    this.#expired = token;
  }
}

/** When to ask for the next token while one is in use. */
export class Refresh {
  readonly #at: number;
  readonly #notBefore: number;

  private constructor(at: number, notBefore: number) {
    this.#at = at;
    this.#notBefore = notBefore;
  }

  /**
   * A moment before `expires`, by the wall clock. Where that clock holds the token for expired though the server
   * has just accepted it, the clock is wrong and says nothing: then in half a minute.
   */
  static before(expires: number, now: Now): Refresh {
    const left = expires - now.unix;
    if (left < 0) return Refresh.after(now, 30_000);
    return new Refresh(expires - Math.min(REFRESH_LEAD, left / 5), now.instant + 1000);
  }

  static after(now: Now, delay: number): Refresh {
    return new Refresh(0, now.instant + delay);
  }

  /** When it is due, as the clocks stand to each other at `now`. */
  deadline(now: Now): number {
    return Math.max(this.#notBefore, now.instant + this.#at - now.unix);
  }
}
