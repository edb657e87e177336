/** What belongs to one welcomed connection, and the delays between connections. */

import {
  BACKOFF_BASE,
  BACKOFF_CAP,
  MESSAGES_BURST,
  MESSAGES_PER_S,
  TIMEOUT_MAX,
  TIMEOUT_MIN,
} from "./config.ts";
import type { Welcome } from "./messages.ts";
import { Refresh } from "./token.ts";

/** The clocks: `instant` never jumps, `unix` is what tokens go by. In ms. */
export interface Now {
  readonly instant: number;
  readonly unix: number;
}

/** A number from 0 to below 1, all equally likely. */
export type Random = () => number;

/** Exponential backoff with full jitter (PROTOCOL §5). */
export class Backoff {
  #attempts = 0;

  reset(): void {
    this.#attempts = 0;
  }

  next(random: Random): number {
    const most = Math.min(BACKOFF_BASE * 2 ** this.#attempts++, BACKOFF_CAP);
    return random() * most;
  }
}

/**
 * Keeps what is sent within what the server takes from one connection (PROTOCOL §7), so that an application in a
 * hurry is slowed down and not closed with 4429.
 */
export class Pace {
  /** When all that was sent would have been sent at the long-run rate. */
  #evenAt = 0;

  count(now: number): void {
    this.#evenAt = Math.max(this.#evenAt, now) + 1000 / MESSAGES_PER_S;
  }

  /** When the next message may be sent. */
  freeAt(): number {
    return this.#evenAt - ((MESSAGES_BURST - 1) * 1000) / MESSAGES_PER_S;
  }
}

/** One welcomed connection. Moments are instants. */
export interface Session {
  /** What it authenticated with. */
  token: string;
  readonly epoch: string;
  readonly since: number;
  heard: number;
  /** How long nothing may be heard. */
  readonly timeout: number;
  /** `resumed` must come by then. */
  resumeBy: number | undefined;
  /** A token that was sent in place of the one in use, with the request's id. */
  auth: { readonly id: string; readonly token: string } | undefined;
  /** When the token in use expires, as the server said; Unix time. */
  expires: number | undefined;
  refresh: Refresh | undefined;
  /** Whether a token has been asked for in place of the one in use. */
  refreshing: boolean;
  /** Failed attempts to get the next token. */
  readonly refreshBackoff: Backoff;
  /** A sign of life must come by then. */
  probeBy: number | undefined;
  pingDue: boolean;
  /** The server asked to connect anew then. */
  leaveAt: number | undefined;
  /** When deferred requests are sent again. */
  flushAt: number | undefined;
  readonly pace: Pace;
  /** Until when requests are held back that would be too many at once. */
  heldUntil: number | undefined;
}

/** The session that `welcome` begins. */
export function newSession(token: string, welcome: Welcome, now: Now): Session {
  const { epoch, expires } = welcome;
  return {
    token,
    epoch,
    since: now.instant,
    heard: now.instant,
    timeout: Math.min(Math.max(welcome.timeout, TIMEOUT_MIN), TIMEOUT_MAX),
    resumeBy: undefined,
    auth: undefined,
    expires,
    refresh: expires === undefined ? undefined : Refresh.before(expires, now),
    refreshing: false,
    refreshBackoff: new Backoff(),
    probeBy: undefined,
    pingDue: false,
    leaveAt: undefined,
    flushAt: undefined,
    pace: new Pace(),
    heldUntil: undefined,
  };
}

/** Whether a connection must be taken for dead. */
export function isDead({ heard, timeout, probeBy, resumeBy }: Session, now: number): boolean {
  return earliest(heard + timeout, probeBy, resumeBy) <= now;
}

/** When the next thing is due of a connection. */
export function sessionDeadline(session: Session, now: Now): number {
  const { heard, timeout, probeBy, resumeBy, leaveAt, flushAt, heldUntil, refresh } = session;
  return earliest(heard + timeout, probeBy, resumeBy, leaveAt, flushAt, heldUntil, refresh?.deadline(now));
}

function earliest(...moments: readonly (number | undefined)[]): number {
  return Math.min(...moments.filter((moment) => moment !== undefined));
}
