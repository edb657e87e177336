/** What an application holds: its subscriptions, listeners and promises, over a machine that it never sees. */

import { TidingsError } from "../errors.ts";
import type { CloudEvent, Delivery, EventOf, EventPattern, Position } from "../types.ts";
import type {
  ClientEvents,
  ClientOptions,
  ClientState,
  EventStream,
  EventStreamOptions,
  PublishedEvent,
  SubscribeOptions,
  Subscription,
  TidingsClient,
} from "./api.ts";
import { type Backend, Host } from "./host.ts";
import type { Handlers, Told } from "./io.ts";
import { BufferedStream } from "./stream.ts";

/** A subscription as the application made it; the types of its events are the caller's affair. */
interface Subscriber {
  readonly listener: (event: never, delivery: never) => void;
  readonly options: SubscribeOptions<never>;
  /** Stops listening to its signal. */
  readonly release: () => void;
}

interface Publisher {
  resolve(result: PublishedEvent): void;
  reject(error: TidingsError): void;
  /** Stops listening to its signal. */
  readonly release: () => void;
}

type Listeners = { readonly [K in keyof ClientEvents]: Set<(value: ClientEvents[K]) => void> };

class Client implements TidingsClient {
  readonly #backend: Backend;
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #publishers = new Map<string, Publisher>();
  readonly #listeners: Listeners = { state: new Set(), error: new Set(), gap: new Set() };
  readonly #signal: AbortSignal | undefined;
  #state: ClientState = "idle";
  #error: TidingsError | null = null;
  #started = false;
  #next = 0;

  readonly #told: Handlers<Told> = {
    state: (state, error) => {
      this.#state = state;
      this.#error = error;
      this.#emit("state", state);
    },
    gap: (gap) => this.#emit("gap", gap),
    subscribed: (subscription, beginning, recent) => {
      const onBegin = this.#subscribers.get(subscription)?.options.onBegin;
      call(() => onBegin?.(beginning));
      for (const delivery of recent) this.#deliver(subscription, delivery);
    },
    event: (delivery, subscriptions) => {
      for (const subscription of subscriptions) this.#deliver(subscription, delivery);
    },
    published: (publish, result) => this.#settled(publish)?.resolve(result),
    error: (error, { subscription, publish } = {}) => {
      if (publish) {
        this.#settled(publish)?.reject(error);
        return;
      }
      const onError = subscription ? this.#forget(subscription)?.options.onError : undefined;
      if (onError) call(() => onError(error));
      else this.#emit("error", error);
    },
  };

  constructor(options: ClientOptions) {
    this.#backend = new Host(options, this.#told);
    const { onState, onError, onGap, signal } = options;
    if (onState) this.on("state", onState);
    if (onError) this.on("error", onError);
    if (onGap) this.on("gap", onGap);
    this.#signal = signal;
    onAbort(signal, () => this.stop());
  }

  get state(): ClientState {
    return this.#state;
  }

  get error(): TidingsError | null {
    return this.#error;
  }

  get position(): Position | null {
    return this.#backend.position;
  }

  start(): void {
    if (this.#signal?.aborted) return;
    this.#started = true;
    this.#backend.post("start");
  }

  stop(): void {
    this.#backend.post("stop");
  }

  setToken(token: string | null): void {
    this.#backend.post("setToken", token);
  }

  subscribe<const P extends EventPattern>(
    events: P | readonly P[],
    listener: (event: EventOf<P>, delivery: Delivery<EventOf<P>>) => void,
    options: SubscribeOptions<P> = {},
  ): Subscription {
    const id = String(this.#next++);
    const unsubscribe = () => {
      if (this.#forget(id)) this.#backend.post("unsubscribe", id);
    };
    const { signal } = options;
    if (signal?.aborted) return { id, unsubscribe };
    const release = onAbort(signal, unsubscribe);
    this.#subscribers.set(id, { listener, options, release } as Subscriber);
    const { filter = {}, recent = 0 } = options;
    this.#backend.post("subscribe", { id, events: [events].flat(), filter, recent });
    this.#connect();
    return { id, unsubscribe };
  }

  events<const P extends EventPattern>(
    events: P | readonly P[],
    options: EventStreamOptions<P> = {},
  ): EventStream<EventOf<P>> {
    const { buffer = 1000, signal, ...others } = options;
    const release = [
      () => subscription.unsubscribe(),
      this.on("state", (state) => {
        if (state === "closed") stream.end(this.#error);
      }),
      onAbort(signal, () => stream.end(null)),
    ];
    const stream = new BufferedStream<EventOf<P>>(buffer, () => {
      for (const one of release) one();
    });
    const onError = (error: TidingsError) => {
      others.onError?.(error);
      stream.end(error);
    };
    const push = (_: EventOf<P>, delivery: Delivery<EventOf<P>>) => stream.push(delivery);
    const subscription = this.subscribe(events, push, { ...others, onError });
    if (signal?.aborted) stream.end(null);
    return stream;
  }

  publish(
    event: Partial<CloudEvent> & Pick<CloudEvent, "type" | "data">,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<PublishedEvent> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted || this.#state === "closed") {
        reject(
          new TidingsError("stopped", "Nothing is published: `start` the client.", { cause: signal?.reason }),
        );
        return;
      }
      const id = String(this.#next++);
      const release = onAbort(signal, () => {
        this.#settled(id);
        this.#backend.post("cancel", id);
        reject(new TidingsError("stopped", "The wait was ended.", { cause: signal?.reason }));
      });
      this.#publishers.set(id, { resolve, reject, release });
      // With an id of its own, what is sent again after a reconnection is published once.
      this.#backend.post("publish", id, { ...event, id: event.id ?? newId() });
      this.#connect();
    });
  }

  on<K extends keyof ClientEvents>(
    name: K,
    listener: (value: ClientEvents[K]) => void,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): () => void {
    // Its own function, so that the same listener given twice is called twice and ended apart.
    const own = (value: ClientEvents[K]) => listener(value);
    const release = onAbort(signal, () => off());
    const off = () => {
      release();
      this.#listeners[name].delete(own);
    };
    if (!signal?.aborted) this.#listeners[name].add(own);
    return off;
  }

  /** The first that wants something connects. */
  #connect(): void {
    if (!this.#started) this.start();
  }

  #deliver(subscription: string, delivery: Delivery<unknown>): void {
    // A listener before may have ended this one.
    const subscriber = this.#subscribers.get(subscription);
    if (subscriber) call(() => subscriber.listener(delivery.event as never, delivery as never));
  }

  #settled(publish: string): Publisher | undefined {
    const publisher = this.#publishers.get(publish);
    publisher?.release();
    this.#publishers.delete(publish);
    return publisher;
  }

  #forget(subscription: string): Subscriber | undefined {
    const subscriber = this.#subscribers.get(subscription);
    subscriber?.release();
    this.#subscribers.delete(subscription);
    return subscriber;
  }

  #emit<K extends keyof ClientEvents>(name: K, value: ClientEvents[K]): void {
    for (const listener of [...this.#listeners[name]]) call(() => listener(value));
  }
}

/** Makes a client. It connects with the first subscription, publish or `start`. */
export function createClient(options: ClientOptions = {}): TidingsClient {
  return new Client(options);
}

/** Calls the application. What it throws is its own, and surfaces as what any listener throws does. */
function call(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Calls `listener` when the signal is aborted; returns what ends that. */
function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  signal?.addEventListener("abort", listener, { once: true });
  return () => signal?.removeEventListener("abort", listener);
}

/** 130 random bits. `randomUUID` is not there on pages over `http:`. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(26)), (byte) => (byte % 32).toString(32)).join("");
}
