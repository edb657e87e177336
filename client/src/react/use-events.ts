/** The newest events of some types: what the hooks of the six categories are made of. */

import { useSyncExternalStore } from "react";
import type { TidingsError } from "../errors.ts";
import type { Delivery, EventOf, EventPattern, Filter } from "../types.ts";
import { useCommitEffect, useKept } from "./effects.ts";
import { EMPTY, EventList } from "./event-list.ts";
import { formOf, patternsOf } from "./form.ts";
import type { HookEvent } from "./hook-event.ts";
import { type ConnectionOptions, useConnection } from "./provider.tsx";
import { useConnectionError, useIsConnected } from "./use-status.ts";

export interface EventsOptions<P extends EventPattern> extends ConnectionOptions {
  /** How many events at most are kept (100). */
  readonly limit?: number | undefined;
  /** What events must have. Compared by value: it may be written in place. */
  readonly filter?: Filter<P> | undefined;
  /** How many of the newest events from before to begin with, at most 200 (0). */
  readonly recent?: number | undefined;
  /** Called with each event as it comes, also where a frame has more of them than `limit`. */
  readonly onEvent?: ((event: HookEvent<EventOf<P>>, delivery: Delivery<EventOf<P>>) => void) | undefined;
}

export interface EventsResult<P extends EventPattern> {
  /** Newest first, at most `limit`. */
  readonly events: readonly HookEvent<EventOf<P>>[];
  /** The one that came last; `null` before the first, and after `clear`. */
  readonly lastEvent: HookEvent<EventOf<P>> | null;
  readonly isConnected: boolean;
  /** Why there is no connection, or no subscription. */
  readonly error: TidingsError | null;
  /** Forgets what has come so far. It is the same function as long as what is asked for is the same. */
  readonly clear: () => void;
}

const LIMIT = 100;

/**
 * The newest events of the given types, which the component is rendered with at most once a frame. Asking for other
 * types or by another filter begins with an empty list.
 */
export function useEvents<const P extends EventPattern>(
  types: P | readonly P[],
  options: EventsOptions<P> = {},
): EventsResult<P> {
  const { filter, recent, limit = LIMIT, onEvent } = options;
  const connection = useConnection(options);
  const request = { patterns: patternsOf(types), filter };
  const list = useKept(
    () => new EventList<P>(connection, { ...request, recent }, { limit, onEvent }),
    connection,
    formOf(request),
  );
  useCommitEffect(() => list.configure({ limit, onEvent }), [list, limit, onEvent]);

  const feed = useSyncExternalStore(list.subscribe, list.getSnapshot, () => EMPTY);
  const isConnected = useIsConnected(connection);
  const error = useConnectionError(connection) ?? feed.error;
  return { events: feed.events, lastEvent: feed.lastEvent, isConnected, error, clear: list.clear };
}
