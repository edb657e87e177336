/** What an application holds in its hands. */

import type { TidingsError } from "../errors.ts";
import type { CloudEvent, Delivery, EventOf, EventPattern, Filter, Gap, Position } from "../types.ts";

/**
 * Where a client stands. The names are the core's own.
 *
 * - `idle`: nothing has asked for a connection yet.
 * - `connecting`: getting a token, opening the connection, or waiting for `welcome`.
 * - `open`: welcomed.
 * - `waiting`: waiting to connect again.
 * - `offline`: without a network; connects as soon as there is one.
 * - `unauthorized`: without a token that the server accepts; connects as soon as there is another.
 * - `closed`: stopped, by the application or by a fault that a reconnection would repeat.
 */
export type ClientState = "idle" | "connecting" | "open" | "waiting" | "offline" | "unauthorized" | "closed";

/** As far as a client uses WebSockets; the global one is such a constructor. */
export type WebSocketConstructor = new (
  url: string,
  protocols: string[],
) => {
  send(text: string): void;
  close(): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "error", listener: () => void): void;
  addEventListener(
    type: "close",
    listener: (event: { readonly code: number; readonly reason: string }) => void,
  ): void;
};

export interface ClientOptions {
  /** `ws:`, `wss:`, `http:` or `https:`, or a path of the page's own host. Without it the page's own host. */
  readonly url?: string | URL;
  /**
   * A token that does not change. In a browser, without this and `getToken` and before any `setToken`, it is the cookie
   * that the server looks for (`auth.cookie`), over WebSocket only.
   */
  readonly token?: string;
  /**
   * Gives a token: before the first connection, before the current one expires, and after the server refused it.
   * `null` says that there is none (the state becomes `unauthorized`); a rejection is asked again, with backoff.
   */
  readonly getToken?: (context: { readonly signal: AbortSignal }) => string | null | Promise<string | null>;
  /** `auto` falls back to Server-Sent Events where WebSocket is blocked, or where there is none, as in Node 20. */
  readonly transport?: "auto" | "websocket" | "sse";
  /** Makes WebSockets in place of the global class, as that of the package `ws` does in Node 20. */
  readonly webSocket?: WebSocketConstructor;
  /**
   * Keeps the position in `sessionStorage`, so that a page that reloads goes on where it was: with what is subscribed
   * to as before, without `recent`, until the first connection is open. A text names the entry; clients that share a
   * page and a server need names of their own.
   */
  readonly persist?: boolean | string;
  /**
   * One connection for all tabs of an origin that ask for it, with the same `url` and with tokens that differ in their
   * times only. A tab that cannot take part, as on a page over `http:`, has its own.
   */
  readonly shared?: boolean;
  /** Called with every gap: fetch anew what depends on it. */
  readonly onGap?: (gap: Gap) => void;
  /** Called with every error that no promise carries. */
  readonly onError?: (error: TidingsError) => void;
  /** Called with every change of state. */
  readonly onState?: (state: ClientState) => void;
  /** Ends the client. */
  readonly signal?: AbortSignal;
}

export interface SubscribeOptions<P extends EventPattern> {
  readonly filter?: Filter<P>;
  /** How many of the newest matching events to begin with, at most 200. */
  readonly recent?: number;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
  /** Called once it has begun: it sees what is above `offset`; `truncated` where `recent` was cut. */
  readonly onBegin?: (beginning: { readonly offset: number; readonly truncated: boolean }) => void;
  /** Called where the server ends it, or never begins it (`forbidden`, `invalid_filter`, …). */
  readonly onError?: (error: TidingsError) => void;
}

export interface Subscription {
  readonly id: string;
  /** Ends it. Ending it twice is ending it once. */
  unsubscribe(): void;
}

/** A stream of events; it ends with its loop, its signal or its client. */
export interface EventStream<E> extends AsyncIterableIterator<Delivery<E>> {
  /** How many of the oldest were dropped because the loop did not take them in time. */
  readonly dropped: number;
}

export interface EventStreamOptions<P extends EventPattern> extends SubscribeOptions<P> {
  /** Events at most that wait for the loop (1,000); beyond, the oldest are dropped and counted. */
  readonly buffer?: number;
}

export interface PublishedEvent {
  readonly eventId: string;
  readonly offset: number;
  /** Whether the log had it already. */
  readonly duplicate: boolean;
}

export interface ClientEvents {
  state: ClientState;
  error: TidingsError;
  gap: Gap;
}

export interface TidingsClient {
  readonly state: ClientState;
  /** Why the client is `unauthorized`, `waiting` or `closed`; `null` while it is `open`. */
  readonly error: TidingsError | null;
  /** Up to where everything has arrived; `null` before a subscription has begun. */
  readonly position: Position | null;
  /** Connects, where nothing has yet; a subscription or a publish does it too. From `closed` it begins again and resumes. */
  start(): void;
  /** Disconnects. Subscriptions and position stay. */
  stop(): void;
  /** Takes a fresh token, as after a login; `null` as after a logout. */
  setToken(token: string | null): void;
  /** Calls `listener` for each event that matches; equal subscriptions are one to the server. */
  subscribe<const P extends EventPattern>(
    events: P | readonly P[],
    listener: (event: EventOf<P>, delivery: Delivery<EventOf<P>>) => void,
    options?: SubscribeOptions<P>,
  ): Subscription;
  /** The events that match, to be iterated over. */
  events<const P extends EventPattern>(
    events: P | readonly P[],
    options?: EventStreamOptions<P>,
  ): EventStream<EventOf<P>>;
  /** Publishes, where the token's grant allows it. A reconnection publishes nothing twice. */
  publish(
    event: Partial<CloudEvent> & Pick<CloudEvent, "type" | "data">,
    options?: { readonly signal?: AbortSignal },
  ): Promise<PublishedEvent>;
  /** Calls `listener` with each change of state, error or gap; returns what ends that. */
  on<K extends keyof ClientEvents>(
    name: K,
    listener: (value: ClientEvents[K]) => void,
    options?: { readonly signal?: AbortSignal },
  ): () => void;
}

/** Makes a client. It connects with the first subscription, publish or `start`. */
export type CreateClient = (options?: ClientOptions) => TidingsClient;
