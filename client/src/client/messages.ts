/** The server's messages as the client reads them (PROTOCOL §2–5). */

import type { Gap, Lane, Position, Priority } from "../types.ts";
import type { PublishedEvent } from "./api.ts";
import type { Routed } from "./matching.ts";

/** The protocol that this client speaks. */
export const PROTOCOL = 1;

export const LANES: readonly Lane[] = ["critical", "high", "normal", "low"];

/** An event as the server sent it. */
export interface WireEvent extends Routed {
  readonly priority?: Priority;
}

export interface OffsetEvent {
  readonly offset: number;
  readonly event: WireEvent;
}

export interface Fault {
  readonly code: string;
  readonly message?: string;
  readonly details?: unknown;
}

/**
 * Each message that the client need know: `pong` and `unsubscribed` have done their part by arriving, and kinds of a
 * later version are ignored.
 */
export interface ServerMessages {
  readonly welcome: {
    /** Where it is another than the client's, the form of the rest is unknown. */
    readonly protocol: number;
    readonly epoch: string;
    /** `timeout`: how long nothing may be heard, in ms. */
    readonly heartbeat: { readonly timeout: number };
    /** When the token expires, in seconds of Unix time. */
    readonly expiresAt?: number;
  };
  readonly event: OffsetEvent & { readonly lane: Lane };
  readonly gap: Gap;
  readonly heartbeat: { readonly lanes: Position["lanes"] };
  readonly subscribed: {
    readonly id: string;
    readonly offset: number;
    readonly recent?: readonly OffsetEvent[];
    readonly truncated?: boolean;
  };
  readonly resumed: {
    readonly recovered: boolean;
    readonly position: Position;
    readonly subscriptions: readonly {
      readonly id: string;
      readonly offset?: number;
      readonly error?: Fault;
    }[];
  };
  readonly authenticated: { readonly expiresAt?: number };
  readonly published: PublishedEvent & { readonly id: string };
  readonly reconnect: { readonly after: number };
  readonly error: Fault & { readonly id?: string };
}

export type ServerMessage = {
  [T in keyof ServerMessages]: { readonly type: T } & ServerMessages[T];
}[keyof ServerMessages];

/** What each kind of message does. */
export type Receivers<T extends keyof ServerMessages> = {
  readonly [K in T]: (message: ServerMessages[K]) => void;
};

/**
 * Reads one message, of which only its type is looked at: what is wrong with the rest is found where it is used. Throws
 * where it is none.
 */
export function parse(text: string): ServerMessage {
  const message = JSON.parse(text) as ServerMessage;
  return typeof message.type === "string" ? message : wrong();
}

/** The number, which is an offset or a time of the server. Throws where it is none. */
export function whole(value: unknown): number {
  return Number.isSafeInteger(value) && 0 <= (value as number) ? (value as number) : wrong();
}

/** Throws: a message is against the protocol. */
export function wrong(): never {
  throw new Error("against the protocol");
}
