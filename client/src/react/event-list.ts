/**
 * The newest events of one component's subscription, as a store for `useSyncExternalStore`: what it gives is never
 * changed, and replaced at most once a frame. It is the same subscription for as long as what it asks for is the
 * same, and what React unmounts for a moment is not there twice when it comes back.
 */

import type { TidingsClient } from "../client/api.ts";
import type { TidingsError } from "../errors.ts";
import type { Delivery, EventOf, EventPattern, Lane } from "../types.ts";
import type { Connection } from "./connection.ts";
import type { Request } from "./form.ts";
import { nextFrame } from "./frames.ts";
import { type HookEvent, hookEvent } from "./hook-event.ts";

export interface EventFeed<P extends EventPattern> {
  /** Newest first. */
  readonly events: readonly HookEvent<EventOf<P>>[];
  readonly lastEvent: HookEvent<EventOf<P>> | null;
  /** Why the server ended the subscription, or did not begin it. */
  readonly error: TidingsError | null;
}

export interface Wanted<P extends EventPattern> extends Request<P> {
  readonly recent: number | undefined;
}

/** What may change without beginning anew. */
export interface FeedSettings<P extends EventPattern> {
  readonly limit: number;
  readonly onEvent: ((event: HookEvent<EventOf<P>>, delivery: Delivery<EventOf<P>>) => void) | undefined;
}

/** What a feed is before anything has come, and in a page that a server renders. */
export const EMPTY = { events: [] as readonly never[], lastEvent: null, error: null };

export class EventList<P extends EventPattern> {
  readonly #connection: Connection;
  readonly #wanted: Wanted<P>;
  readonly #listeners = new Set<() => void>();
  #settings: FeedSettings<P>;
  #feed: EventFeed<P> = EMPTY;
  /** What has come since the last frame, oldest first; at most twice what a frame can show. */
  #arrived: HookEvent<EventOf<P>>[] = [];
  /** The offset of what came last in each lane. */
  #reached: Partial<Record<Lane, number>> = {};
  /** The log's epoch when the subscription ended last. */
  #epoch: string | undefined;

  constructor(connection: Connection, wanted: Wanted<P>, settings: FeedSettings<P>) {
    this.#connection = connection;
    this.#wanted = wanted;
    this.#settings = settings;
  }

  readonly getSnapshot = (): EventFeed<P> => this.#feed;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    // Without any type there is nothing to subscribe to.
    const release = this.#wanted.patterns.length === 0 ? undefined : this.#connection.hold(this.#attach);
    return () => {
      this.#listeners.delete(listener);
      release?.();
    };
  };

  readonly clear = (): void => {
    this.#arrived = [];
    this.#show({ ...this.#feed, events: [], lastEvent: null });
  };

  configure(settings: FeedSettings<P>): void {
    this.#settings = settings;
    const { events } = this.#feed;
    if (settings.limit < events.length)
      this.#show({ ...this.#feed, events: events.slice(0, settings.limit) });
  }

  readonly #attach = (client: TidingsClient): (() => void) => {
    const { patterns, filter, recent } = this.#wanted;
    const ended = () => {
      this.#epoch = client.position?.epoch;
    };
    const release = this.#connection.keep(
      (refused) =>
        client.subscribe(patterns, this.#take, {
          ...(filter !== undefined && { filter }),
          ...(recent !== undefined && { recent }),
          onBegin: () => this.#begun(client.position?.epoch),
          onError: (error) => {
            ended();
            refused(error);
          },
        }),
      (error) => this.#fail(error),
    );
    return () => {
      ended();
      release();
    };
  };

  /** In a log that has begun anew, offsets say nothing about what came before. */
  #begun(epoch: string | undefined): void {
    if (epoch !== this.#epoch) this.#reached = {};
    this.#fail(null);
  }

  readonly #take = (event: EventOf<P>, delivery: Delivery<EventOf<P>>): void => {
    const { lane, offset, recent } = delivery;
    // What a component that is shown again asks for once more, it may have had.
    if (recent && offset <= (this.#reached[lane] ?? -1)) return;
    this.#reached[lane] = offset;
    const flat = hookEvent(event);
    this.#arrived.push(flat);
    const shown = Math.max(1, this.#settings.limit);
    if (2 * shown <= this.#arrived.length) this.#arrived.splice(0, this.#arrived.length - shown);
    nextFrame(this.#flush);
    if (this.#listeners.size > 0) this.#settings.onEvent?.(flat, delivery);
  };

  readonly #flush = (): void => {
    const lastEvent = this.#arrived.at(-1);
    if (lastEvent === undefined) return;
    const events = this.#arrived.reverse().concat(this.#feed.events).slice(0, this.#settings.limit);
    this.#arrived = [];
    this.#show({ ...this.#feed, events, lastEvent });
  };

  #fail(error: TidingsError | null): void {
    if (error !== this.#feed.error) this.#show({ ...this.#feed, error });
  }

  #show(feed: EventFeed<P>): void {
    this.#feed = feed;
    for (const listener of this.#listeners) listener();
  }
}
