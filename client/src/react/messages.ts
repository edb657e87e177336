/**
 * What `useWebSocket` keeps for one component: subscriptions by their ids, those that it declares and those that it
 * makes by hand, and the newest message of all of them. It outlives its connection, so that ids stay what they were
 * when the address changes.
 */

import type { TidingsClient } from "../client/api.ts";
import type { TidingsError } from "../errors.ts";
import type { Delivery, EventPattern, Filter, TidingsEvent } from "../types.ts";
import type { Attachment, Connection } from "./connection.ts";
import { patternsOf, type Request } from "./form.ts";
import { nextFrame } from "./frames.ts";
import { type HookEvent, hookEvent } from "./hook-event.ts";

export type OnMessage = (message: HookEvent, delivery: Delivery) => void;

let next = 1;

export class Messages {
  /** Called with every message, however many come in a frame. */
  onMessage: OnMessage | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #requests = new Map<string, Request>();
  /** Ids of what the component declares, by its form. */
  #declared = new Map<string, string>();
  #attached:
    | {
        readonly client: TidingsClient;
        readonly connection: Connection;
        /** What ends each subscription, by its id. */
        readonly ends: Map<string, () => void>;
      }
    | undefined;
  readonly #errors = new Map<string, TidingsError>();
  #newest: HookEvent | null = null;
  /** The newest as of the last frame. */
  #shown: HookEvent | null = null;
  #watched = false;

  readonly getMessage = (): HookEvent | null => this.#shown;

  /** The error of the subscription that failed last, and is still there. */
  readonly getError = (): TidingsError | null => [...this.#errors.values()].at(-1) ?? null;

  /** From now on the component is told of new messages: it has read one. */
  watch(): void {
    this.#watched = true;
  }

  /** What listens on `connection`, and connects. */
  on(connection: Connection): (listener: () => void) => () => void {
    // Its own for each time: what an address keeps of a component that has gone to another is not what comes back.
    const attach: Attachment = (client) => this.#attach(client, connection);
    return (listener) => {
      this.#listeners.add(listener);
      const release = connection.hold(attach);
      return () => {
        this.#listeners.delete(listener);
        release();
      };
    };
  }

  readonly subscribe = <const P extends EventPattern>(
    types: P | readonly P[],
    filter?: Filter<P>,
  ): string => {
    return this.#add({ patterns: patternsOf<EventPattern>(types), filter: filter as Filter | undefined });
  };

  readonly unsubscribe = (id: string): void => {
    this.#requests.delete(id);
    this.#settle(id);
    this.#attached?.ends.get(id)?.();
    this.#attached?.ends.delete(id);
  };

  /** Makes the declared subscriptions those of `requests`, by their form; what stays is left alone. */
  declare(requests: ReadonlyMap<string, Request>): void {
    const before = this.#declared;
    this.#declared = new Map();
    for (const [form, request] of requests) {
      this.#declared.set(form, before.get(form) ?? this.#add(request));
    }
    for (const [form, id] of before) {
      if (!requests.has(form)) this.unsubscribe(id);
    }
  }

  #add(request: Request): string {
    const id = `s${next++}`;
    this.#requests.set(id, request);
    this.#begin(id, request);
    return id;
  }

  #attach(client: TidingsClient, connection: Connection): () => void {
    this.#detach();
    const attached = { client, connection, ends: new Map<string, () => void>() };
    this.#attached = attached;
    for (const [id, request] of this.#requests) this.#begin(id, request);
    client.start();
    return () => {
      if (this.#attached === attached) this.#detach();
    };
  }

  #detach(): void {
    for (const end of this.#attached?.ends.values() ?? []) end();
    this.#attached = undefined;
  }

  #begin(id: string, { patterns, filter }: Request): void {
    if (this.#attached === undefined || patterns.length === 0) return;
    const { client, connection, ends } = this.#attached;
    const end = connection.keep(
      (onError) =>
        client.subscribe(patterns, this.#take, {
          ...(filter !== undefined && { filter }),
          onBegin: () => this.#settle(id),
          onError,
        }),
      (error) => (error === null ? this.#settle(id) : this.#fail(id, error)),
    );
    ends.set(id, end);
  }

  /** An event that several subscriptions let through comes once for each, one after the other. */
  readonly #take = (event: TidingsEvent, delivery: Delivery): void => {
    if (this.#listeners.size === 0) return;
    if (event.id === this.#newest?.id && event.source === this.#newest.source) return;
    this.#newest = hookEvent(event);
    nextFrame(this.#flush);
    this.onMessage?.(this.#newest, delivery);
  };

  readonly #flush = (): void => {
    this.#shown = this.#newest;
    if (this.#watched) this.#tell();
  };

  #fail(id: string, error: TidingsError): void {
    this.#errors.delete(id);
    this.#errors.set(id, error);
    this.#tell();
  }

  #settle(id: string): void {
    if (this.#errors.delete(id)) this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
