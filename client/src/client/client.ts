/** What an application holds: its subscriptions, listeners and promises, over a machine that it never sees. */

import { TidingsError } from "../errors.ts";
import type { CloudEvent, Delivery, EventOf, EventPattern, Position } from "../types.ts";
import { type Address, readAddress } from "./address.ts";
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
import { Host } from "./host.ts";
import type { Handlers, Input, Told } from "./io.ts";
import { openStream } from "./stream.ts";

/** A subscription or a publish that has not ended. */
interface Open {
  /** Only of subscriptions; the types of events are the caller's affair. */
  readonly onBegin?: SubscribeOptions<never>["onBegin"];
  readonly listener?: (event: never, delivery: never) => void;
  /** Only of publishes. */
  resolve?(result: PublishedEvent): void;
  failed(error: TidingsError): void;
  readonly end: () => void;
}

class Client implements TidingsClient {
  readonly #options: ClientOptions;
  readonly #address: Address;
  /** What does the work; made when there is some. */
  #host: Host | undefined;
  readonly #open = new Map<string, Open>();
  readonly #listeners: {
    readonly [K in keyof ClientEvents]: Set<((value: ClientEvents[K]) => void) | undefined>;
  };
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
    subscribed: (id, beginning, recent) => {
      call(() => this.#open.get(id)?.onBegin?.(beginning));
      for (const delivery of recent) this.#deliver(id, delivery);
    },
    event: (delivery, ids) => {
      for (const id of ids) this.#deliver(id, delivery);
    },
    published: (id, result) => {
      const one = this.#open.get(id);
      one?.resolve?.(result);
      one?.end();
    },
    error: (error, id = "") => {
      const one = this.#open.get(id);
      if (one) call(() => one.failed(error));
      else if (!id) this.#emit("error", error);
      one?.end();
    },
  };

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#address = readAddress(options.url);
    const { onState, onError, onGap, signal } = options;
    this.#listeners = { state: new Set([onState]), error: new Set([onError]), gap: new Set([onGap]) };
    this.#signal = signal;
    until(signal, () => this.stop());
  }

  get state(): ClientState {
    return this.#state;
  }

  get error(): TidingsError | null {
    return this.#error;
  }

  get position(): Position | null {
    return this.#host?.position ?? null;
  }

  start(): void {
    if (this.#signal?.aborted) return;
    this.#started = true;
    this.#post("start");
  }

  stop(): void {
    if (this.#host) this.#post("stop");
    else this.#told.state("closed", null);
  }

  setToken(token: string | null): void {
    this.#post("setToken", token);
  }

  subscribe<const P extends EventPattern>(
    events: P | readonly P[],
    listener: (event: EventOf<P>, delivery: Delivery<EventOf<P>>) => void,
    options: SubscribeOptions<P> = {},
  ): Subscription {
    const id = String(this.#next++);
    const {
      filter,
      recent = 0,
      signal,
      onBegin,
      onError: failed = (error) => this.#emit("error", error),
    } = options;
    // A copy, without what is undefined. What JSON cannot write is thrown at who asks for it.
    const wanted = { events: [events].flat(), filter: filter ?? {} };
    this.#post("subscribe", { id, recent, ...JSON.parse(JSON.stringify(wanted)) });
    const unsubscribe = this.#until(signal, id, { onBegin, listener, failed }, () =>
      this.#post("unsubscribe", id),
    );
    return { id, unsubscribe };
  }

  events<const P extends EventPattern>(
    events: P | readonly P[],
    { buffer = 1000, signal, ...others }: EventStreamOptions<P> = {},
  ): EventStream<EventOf<P>> {
    return openStream<EventOf<P>>(buffer, ({ push, end }) => {
      const onError = (error: TidingsError) => {
        others.onError?.(error);
        end(error);
      };
      const { unsubscribe } = this.subscribe(events, (_, delivery) => push(delivery), { ...others, onError });
      const off = this.on("state", (state) => {
        if (state === "closed") end(this.#error);
      });
      return until(signal, () => {
        unsubscribe();
        off();
        end(null);
      });
    });
  }

  publish(
    event: Partial<CloudEvent> & Pick<CloudEvent, "type" | "data">,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<PublishedEvent> {
    return new Promise((resolve, reject) => {
      const id = String(this.#next++);
      this.#post("publish", id, { ...event });
      this.#until(signal, id, { resolve, failed: reject }, () => {
        this.#post("cancel", id);
        reject(new TidingsError("stopped", "The signal ended it", { cause: signal?.reason }));
      });
    });
  }

  on<K extends keyof ClientEvents>(
    name: K,
    listener: (value: ClientEvents[K]) => void,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): () => void {
    // Its own function, so that the same listener given twice is called twice and ended apart.
    const own = (value: ClientEvents[K]) => listener(value);
    const listeners = this.#listeners[name].add(own);
    return until(signal, () => listeners.delete(own));
  }

  #post(...input: Input): void {
    this.#host ??= new Host(this.#options, this.#address, this.#told);
    this.#host.post(...input);
  }

  /** Keeps what is open until the signal, the server or the function that is returned ends it. Connects for it. */
  #until(
    signal: AbortSignal | undefined,
    id: string,
    open: Omit<Open, "end">,
    ended: () => void,
  ): () => void {
    const end = () => {
      if (this.#open.delete(id)) ended();
    };
    const one = { ...open, end };
    this.#open.set(id, one);
    one.end = until(signal, end);
    if (!this.#started && !signal?.aborted) this.start();
    return one.end;
  }

  #deliver(id: string, delivery: Delivery<unknown>): void {
    // A listener before may have ended this one.
    call(() => this.#open.get(id)?.listener?.(delivery.event as never, delivery as never));
  }

  #emit<K extends keyof ClientEvents>(name: K, value: ClientEvents[K]): void {
    for (const listener of [...this.#listeners[name]]) call(() => listener?.(value));
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

/** Has `end` happen when the signal is aborted, or by the function that is returned. */
function until(signal: AbortSignal | undefined, end: () => void): () => void {
  const once = () => {
    signal?.removeEventListener("abort", once);
    end();
  };
  signal?.addEventListener("abort", once);
  if (signal?.aborted) once();
  return once;
}
