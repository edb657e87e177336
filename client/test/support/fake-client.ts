/**
 * A client without a connection, for tests of what is built on one: the test says how it stands and what comes, and
 * reads what was asked of it.
 */

import type {
  ClientEvents,
  ClientOptions,
  ClientState,
  SubscribeOptions,
  Subscription,
  TidingsClient,
} from "../../src/client/api.ts";
import type { TidingsError } from "../../src/errors.ts";
import type { CloudEvent, Delivery, EventPattern, Position, TidingsEvent } from "../../src/types.ts";

type Listener = (event: TidingsEvent, delivery: Delivery) => void;

/** A subscription as it was asked for. */
export interface FakeSubscription {
  readonly events: readonly string[];
  readonly options: SubscribeOptions<EventPattern>;
  readonly listener: Listener;
}

export class FakeClient implements TidingsClient {
  state: ClientState = "idle";
  error: TidingsError | null = null;
  position: Position | null = null;
  readonly options: ClientOptions;
  /** Those that have not ended. */
  readonly subscriptions = new Map<string, FakeSubscription>();
  /** What was done with it, in order: `start`, `stop`, `setToken t1`, `subscribe content.*`, `unsubscribe content.*`. */
  readonly calls: string[] = [];
  readonly #listeners = { state: new Set(), error: new Set(), gap: new Set() };
  #next = 1;

  constructor(options: ClientOptions = {}) {
    this.options = options;
  }

  start(): void {
    this.calls.push("start");
    this.become("connecting");
  }

  stop(): void {
    this.calls.push("stop");
    this.become("closed");
  }

  /** Refuses what was subscribed to last. */
  refuse(error: TidingsError): void {
    [...this.subscriptions.values()].at(-1)?.options.onError?.(error);
  }

  setToken(token: string | null): void {
    this.calls.push(`setToken ${token}`);
  }

  subscribe: TidingsClient["subscribe"] = (events, listener, options = {}): Subscription => {
    const id = `f${this.#next++}`;
    const patterns = typeof events === "string" ? [events] : (events as readonly string[]);
    const subscription = { events: patterns, listener: listener as Listener, options: options as object };
    this.subscriptions.set(id, subscription);
    this.calls.push(`subscribe ${patterns}`);
    return {
      id,
      unsubscribe: () => {
        if (this.subscriptions.delete(id)) this.calls.push(`unsubscribe ${patterns}`);
      },
    };
  };

  events: TidingsClient["events"] = () => {
    throw new Error("nothing is iterated over here");
  };

  async publish(): Promise<never> {
    throw new Error("nothing is published here");
  }

  on: TidingsClient["on"] = (name, listener) => {
    this.#listeners[name].add(listener);
    return () => this.#listeners[name].delete(listener);
  };

  /** How many listen to changes of its state. */
  get watchers(): number {
    return this.#listeners.state.size;
  }

  become(state: ClientState, error: TidingsError | null = null): void {
    this.state = state;
    this.error = error;
    this.#tell("state", state);
    if (error !== null) this.#tell("error", error);
  }

  /** The event reaches every subscription to its type whose filter's top-level fields it has. */
  deliver(event: CloudEvent<string, unknown>, delivery: Partial<Delivery> = {}): void {
    const whole = { event, offset: 1, lane: event.priority, recent: false, ...delivery };
    for (const { events, listener, options } of [...this.subscriptions.values()]) {
      const data = event.data as Record<string, unknown>;
      const wanted = Object.entries(options.filter ?? {});
      const matches =
        events.some((p) => p === "*" || p === event.type || p === event.type.replace(/\..*/, ".*")) &&
        wanted.every(([path, value]) => [value].flat().includes(data[path] as never));
      if (matches) listener(event as TidingsEvent, whole as Delivery);
    }
  }

  #tell<K extends keyof ClientEvents>(name: K, value: ClientEvents[K]): void {
    for (const listener of [...this.#listeners[name]]) (listener as (value: ClientEvents[K]) => void)(value);
  }
}

let made = 0;

/** An event with an id of its own, of the type's priority only where that is given. */
export function event(type: string, data: object = {}, envelope: Partial<CloudEvent> = {}): CloudEvent {
  made += 1;
  return {
    specversion: "1.0",
    id: `e${made}`,
    source: "/tests",
    type,
    time: "2026-01-31T08:00:00Z",
    priority: "normal",
    data: data as Record<string, unknown>,
    ...envelope,
  };
}
