/** The connection as one component drives it: subscriptions that it declares or makes by hand, and the last message. */

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { Delivery, EventPattern, Filter } from "../types.ts";
import { useCommitEffect, useKept } from "./effects.ts";
import { formOf, patternsOf, type Request } from "./form.ts";
import type { HookEvent } from "./hook-event.ts";
import { Messages } from "./messages.ts";
import { type ConnectionOptions, useConnection } from "./provider.tsx";
import { type ConnectionStatus, useStatusOf } from "./use-status.ts";

/** Types, or types with what their events must have. */
export type SubscriptionRequest<P extends EventPattern> =
  | P
  | { readonly types: P | readonly P[]; readonly filter?: Filter<P> | undefined };

export interface WebSocketOptions<P extends EventPattern = EventPattern> extends ConnectionOptions {
  /** What to subscribe to while mounted. Compared by value: it may be written in place. */
  readonly subscriptions?: readonly SubscriptionRequest<P>[] | undefined;
  /** Called with every message, also where a frame has more than one of them. */
  readonly onMessage?: ((message: HookEvent, delivery: Delivery) => void) | undefined;
}

export interface WebSocketResult extends ConnectionStatus {
  /** The newest event of all subscriptions. Only a component that reads it is rendered with each. */
  readonly lastMessage: HookEvent | null;
  /** Subscribes until `unsubscribe` or unmounting, and returns the id for it. Always the same function. */
  readonly subscribe: Messages["subscribe"];
  /** Ends one subscription. Always the same function. */
  readonly unsubscribe: (id: string) => void;
}

/** Connects, and stays connected while the component is mounted. */
export function useWebSocket<const P extends EventPattern>(
  options: WebSocketOptions<P> = {},
): WebSocketResult {
  const { subscriptions = [], onMessage } = options;
  const connection = useConnection(options);
  const connected = useStatusOf(connection);
  const [messages] = useState(() => new Messages());
  useCommitEffect(() => {
    messages.onMessage = onMessage;
  }, [messages, onMessage]);

  const requests = new Map(subscriptions.map(requestOf).map((request) => [formOf(request), request]));
  const declared = useKept(() => requests, [...requests.keys()].sort().join());
  useEffect(() => messages.declare(declared), [messages, declared]);

  const listen = useMemo(() => messages.on(connection), [messages, connection]);
  const lastMessage = useSyncExternalStore(listen, messages.getMessage, () => null);
  const refused = useSyncExternalStore(listen, messages.getError, () => null);
  return {
    ...connected,
    error: connected.error ?? refused,
    get lastMessage() {
      messages.watch();
      return lastMessage;
    },
    subscribe: messages.subscribe,
    unsubscribe: messages.unsubscribe,
  };
}

function requestOf<P extends EventPattern>(wanted: SubscriptionRequest<P>): Request {
  if (typeof wanted === "string") return { patterns: [wanted], filter: undefined };
  const { types, filter } = wanted as Exclude<SubscriptionRequest<P>, P>;
  return { patterns: patternsOf<EventPattern>(types), filter: filter as Filter | undefined };
}
