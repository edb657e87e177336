/**
 * The vocabulary of the emitter: its options, what it takes for an event, and what a server tells about itself.
 * Types only.
 */

import type { TidingsError } from "../errors.ts";
import type { TimestampFields } from "../generated/emitter.ts";
import type { EventDataMap } from "../generated/events.ts";
import type { EventType, Priority } from "../types.ts";

export interface EmitterOptions {
  /** `http:` or `https:`, with a path where the server stands below one. Without it `TIDINGS_URL`. */
  readonly url?: string | URL;
  /** An API key of the server, or a token whose grant allows to publish. Without it `TIDINGS_API_KEY`. */
  readonly apiKey?: string;
  /** The `source` of events that name none; without it the server's own default. */
  readonly source?: string;
  /** For how many ms the first event of a batch waits for others (2). Later ones wait for the request before them. */
  readonly batchDelay?: number;
  /** Events at most in a request (1,000). */
  readonly batchEvents?: number;
  /** Events at most that are not published yet (10,000). */
  readonly queueEvents?: number;
  /** Bytes at most of events that are not published yet (16 MiB). */
  readonly queueBytes?: number;
  /** What gives way where an event finds the queue full: that event (`reject`), or those that wait longest. */
  readonly overflow?: "reject" | "drop-oldest";
  /** For how many ms an event is tried again (4 min). Beyond the server's window of deduplication it could be published twice. */
  readonly retryFor?: number;
  /** For how many ms an answer is waited for (30 s). */
  readonly timeout?: number;
  /**
   * Called with every event that is not published, besides the rejection of its promise. Without it Node's warnings
   * tell. A promise that nobody waits for never ends the process.
   */
  readonly onError?: (error: TidingsError, event: EmitEvent) => void;
  /** Ends the emitter at once; what is not published yet is rejected. */
  readonly signal?: AbortSignal;
  /** Sends the requests, in place of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch;
}

/** The attributes of an event (PROTOCOL §1), and how long its publisher waits. */
export interface EmitOptions {
  /** Names the event: the same `id` and content again, within the server's window, is not published twice. */
  readonly id?: string | undefined;
  readonly source?: string | undefined;
  /** The entity that the event is about. */
  readonly subject?: string | undefined;
  /** When it happened. Without it the moment of the call, or where `id` is given that of its arrival. */
  readonly time?: string | Date | undefined;
  /** In place of the priority of the event's type. */
  readonly priority?: Priority | undefined;
  /** Gives up; where a request is under way already, the event may be published all the same. */
  readonly signal?: AbortSignal | undefined;
}

type InputOf<D, Timestamps> = {
  readonly [F in keyof D]:
    | D[F]
    | (F extends Timestamps ? Date : never)
    | (Pick<D, F> extends Required<Pick<D, F>> ? never : undefined);
};

/**
 * The data that an event type takes: that of the event, with a `Date` for every timestamp. Further fields are kept.
 * The data of a type that the server's configuration adds is checked by the server.
 */
export type EventInput<T extends string> = T extends EventType
  ? InputOf<EventDataMap[T], TimestampFields[T]>
  : object;

/** An event to be published. */
export interface EmitEvent extends Omit<EmitOptions, "signal"> {
  readonly type: EventType | (string & {});
  readonly data: object;
}

/** A batch whose every event has the data of its type. */
export type CheckedBatch<E extends readonly EmitEvent[]> = {
  readonly [I in keyof E]: E[I]["data"] extends EventInput<E[I]["type"]>
    ? E[I]
    : EmitEvent & { readonly data: EventInput<E[I]["type"]> };
};

/** What is wrong with an event, and where. `TidingsError.details` lists them where the code is `invalid_event`. */
export interface Fault {
  /** The event's place in its batch. */
  readonly index?: number;
  /** The JSON path of the value at fault, as in `$.data.tags[3]`. */
  readonly path: string;
  readonly message: string;
}

/** What `GET /v1/stats` says. */
export interface ServerStats {
  /** The server's version. */
  readonly version: string;
  readonly uptimeMs: number;
  /** Clients that are connected. */
  readonly totalConnections: number;
  /** Subscriptions of all of them. */
  readonly activeSubscriptions: number;
  /** Different subscriptions among them. */
  readonly definitions: number;
  /** Users with at least one connection. */
  readonly users: number;
  /** Open sockets, those of HTTP included. */
  readonly sockets: number;
  /** Open sockets by what they are used for, as `websocket` or `sse`. */
  readonly connections: Counts;
  /** The log's epoch; `null` before the log is loaded. */
  readonly epoch: string | null;
  /** The newest offset of the log. */
  readonly offset: number;
  readonly historyEvents: number;
  readonly historyBytes: number;
  readonly eventsPublished: number;
  readonly eventsDelivered: number;
  /** Events published, by type and lane. */
  readonly published: TypeCounts;
  /** Events handed to connections, by type and lane. */
  readonly delivered: TypeCounts;
  /** Publishes of what had been published before. */
  readonly duplicates: number;
  /** Events queued for connections. */
  readonly queued: number;
  /** Lanes of connections that are refilled from history. */
  readonly catchingUp: number;
  /** Events of history that those have yet to look at. */
  readonly catchUp: number;
  /** What waits for connections, by lane. */
  readonly lanes: Readonly<Record<Priority, { readonly queued: number; readonly catchUp: number }>>;
  /** Connections of which a lane is refilled from history. */
  readonly slowConsumers: number;
  /** How often a queue was full. */
  readonly overflows: number;
  /** Gaps told to clients. */
  readonly gaps: number;
  readonly gapsByReason: { readonly expired: number; readonly epoch: number };
  /** Events left out because a newer one of the same key waited behind them. */
  readonly conflated: number;
  /** Connections closed, by code. */
  readonly closes: Counts;
  /** Errors told to clients, by code. */
  readonly errors: Counts;
  /** Connections that were not let in, by reason. */
  readonly refusals: Counts;
  /** From the log to the kernel: how many events took up to the bound of the same place. The last bound is none. */
  readonly latency: {
    readonly boundsUs: readonly (number | null)[];
    readonly counts: readonly number[];
    readonly sumUs: number;
  };
  /** Whether the instance is about to stop. */
  readonly draining: boolean;
}

/** How many, by name. */
export type Counts = Readonly<Record<string, number>>;

/** How many, by type and lane; what has not happened is left out. */
export type TypeCounts = Readonly<Record<string, Partial<Readonly<Record<Priority, number>>>>>;
