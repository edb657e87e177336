/**
 * What goes into a client's machine and what comes out of it: a name and what belongs to it. All of it can be copied
 * into another thread.
 */

import type { TidingsError } from "../errors.ts";
import type { Delivery, Gap } from "../types.ts";
import type { ClientState, PublishedEvent } from "./api.ts";
import type { WireFilter } from "./matching.ts";
import type { WireEvent } from "./messages.ts";

/** The clocks: `instant` never jumps, `unix` is what tokens go by. In ms. */
export interface Now {
  readonly instant: number;
  readonly unix: number;
}

/** What the application subscribes to, under an id of its own. */
export interface Wanted {
  readonly id: string;
  readonly events: readonly string[];
  readonly filter: WireFilter;
  readonly recent: number;
}

/**
 * What the machine is told. What concerns the connection (`message`, `closed`) is ignored from the moment that it
 * lets go of a connection until the next `open` has been polled.
 */
export interface Inputs {
  /** Connect, and stay connected. In `unauthorized`, ask for a token again. */
  start: [];
  /** Disconnect. Subscriptions and position stay, so a later start resumes. */
  stop: [];
  message: [text: string];
  /** The connection has ended, or did not open; without a code where it failed. */
  closed: [code?: number | undefined, reason?: string | undefined];
  /** The answer to `getToken`, exactly one for each. `null`: there is none. */
  token: [token: string | null];
  tokenFailed: [cause: unknown];
  /** A token unasked, in place of an answer that is owed. `null`: the user has logged out, and the connection ends. */
  setToken: [token: string | null];
  online: [];
  offline: [];
  /** The page has become visible, or the machine has woken: the connection may be dead unnoticed. */
  visible: [];
  /** Connect anew at once where a connection is wanted: the one at hand has moved, or another can be had. */
  renew: [];
  /** The deadline has come. */
  timeout: [];
  subscribe: [wanted: Wanted];
  unsubscribe: [id: string];
  /** An event, which needs no id. */
  publish: [id: string, event: Readonly<Record<string, unknown>>];
  /** Nobody waits for this publish any more. */
  cancel: [id: string];
}

/** What the machine asks of its shell. */
export interface Requests {
  getToken: [];
  open: [token: string];
  send: [text: string];
  /** Close the connection and forget it. */
  close: [];
}

/** What the machine tells the application. */
export interface Told {
  /** `error`: why it is so. */
  state: [state: ClientState, error: TidingsError | null];
  /** A subscription has begun, with what it asked to begin with, oldest first. */
  subscribed: [
    id: string,
    beginning: { readonly offset: number; readonly truncated: boolean },
    recent: readonly Delivery<WireEvent>[],
  ];
  event: [delivery: Delivery<WireEvent>, ids: readonly string[]];
  gap: [gap: Gap];
  published: [id: string, result: PublishedEvent];
  /** Something went wrong: with a subscription or a publish, which has ended by it, or with the client. */
  error: [error: TidingsError, id?: string];
}

type Named<T extends { readonly [K in keyof T]: readonly unknown[] }> = {
  [K in keyof T]: [K, ...T[K]];
}[keyof T];

export type Input = Named<Inputs>;
export type Output = Named<Requests & Told>;

/** What is done about each. */
export type Handlers<T extends { readonly [K in keyof T]: readonly unknown[] }> = {
  readonly [K in keyof T]: (...args: T[K]) => void;
};
