/**
 * The vocabulary that the client, the hooks and the emitter share: what an event is, which events a pattern
 * names, and what may stand in a filter (PROTOCOL §1 and §3). Types only.
 */

import type { EventDataMap } from "./generated/events.ts";

/** A type that the server knows without configuration, as in `content.updated`. */
export type EventType = keyof EventDataMap;

/** What stands before the dot, as in `content`. */
export type Category = EventType extends `${infer C}.${string}` ? C : never;

/** How urgent an event is; each priority has a lane of its own. */
export type Priority = "critical" | "high" | "normal" | "low";

/** A lane carries the events of one priority, in the order of their offsets. */
export type Lane = Priority;

/** A JSON value that is neither object nor array. */
export type Scalar = string | number | boolean | null;

/** A CloudEvent 1.0 with its type's data. */
export interface CloudEvent<T extends string = string, D = Record<string, unknown>> {
  readonly specversion: "1.0";
  readonly id: string;
  readonly source: string;
  readonly type: T;
  /** RFC 3339. */
  readonly time: string;
  /** The entity that the event is about. */
  readonly subject?: string;
  readonly datacontenttype?: "application/json";
  readonly priority: Priority;
  readonly data: D;
}

/** One of the events that the server knows without configuration; `type` tells which. */
export type TidingsEvent = { [T in EventType]: CloudEvent<T, EventDataMap[T]> }[EventType];

/** An exact type, `category.*` or `*`. A text of another form may name a type that the server's configuration adds. */
export type EventPattern = EventType | `${Category}.*` | "*" | (string & {});

/** The events that a pattern lets through. */
export type EventOf<P extends string> = string extends P
  ? TidingsEvent
  : P extends "*"
    ? TidingsEvent
    : P extends EventType
      ? CloudEvent<P, EventDataMap[P]>
      : P extends `${infer C}.*`
        ? [Extract<TidingsEvent, { type: `${C}.${string}` }>] extends [never]
          ? CloudEvent
          : Extract<TidingsEvent, { type: `${C}.${string}` }>
        : CloudEvent<P>;

type KeysOf<T> = T extends unknown ? keyof T & string : never;
type ValueAt<T, K extends string> = T extends unknown ? (K extends keyof T ? Present<T[K]> : never) : never;
/** Without what an absent field has. What may be anything stays that. */
type Present<V> = unknown extends V ? V : NonNullable<V>;
/** What a value may be compared with: itself where it is a scalar, an element where it is an array. */
type Comparable<V> = unknown extends V
  ? Scalar
  : V extends readonly (infer E)[]
    ? Comparable<E>
    : V extends Scalar
      ? V
      : never;
/** Literal types complete in the editor without shutting out other values. */
type Wanted<V> = [V] extends [never] ? never : V | null | readonly (V | null)[];

/**
 * What an event must have: for each path into its data (or `@subject`, `@source`) a scalar, or several of which
 * one must be equal. Top-level fields of the types complete and are checked; deeper paths are dotted.
 */
export type Filter<P extends string = string> = {
  readonly [K in KeysOf<EventOf<P>["data"]>]?: Wanted<Comparable<ValueAt<EventOf<P>["data"], K>>>;
} & {
  readonly [path: `${string}.${string}`]: Scalar | readonly Scalar[] | undefined;
} & {
  readonly "@subject"?: string | readonly string[];
  readonly "@source"?: string | readonly string[];
};

/** Up to where everything has arrived: the log's epoch, and an offset for each lane (PROTOCOL §5). */
export interface Position {
  readonly epoch: string;
  readonly lanes: Readonly<Record<Lane, number>>;
}

/** Events in `(after, until]` of a lane may be missing: fetch anew what depends on them. */
export interface Gap {
  readonly lane: Lane;
  /** Absent where the log has begun anew (`reason` is `epoch`). */
  readonly after?: number;
  readonly until: number;
  readonly reason: "expired" | "epoch" | (string & {});
}

/** An event with its place in the log. */
export interface Delivery<E = TidingsEvent> {
  readonly event: E;
  readonly offset: number;
  readonly lane: Lane;
  /** Whether it was there before the subscription, and came with its beginning. */
  readonly recent: boolean;
}
