/** How the connection is, for components that show it. */

import { useSyncExternalStore } from "react";
import type { ClientState } from "../client/api.ts";
import type { TidingsError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import { type ConnectionOptions, useConnection } from "./provider.tsx";

export interface ConnectionStatus {
  readonly status: ClientState;
  readonly isConnected: boolean;
  /** Why it is not connected; `null` while it is. */
  readonly error: TidingsError | null;
}

/** The connection's status. By itself it connects nothing: the first hook that subscribes does. */
export function useConnectionStatus(options: ConnectionOptions = {}): ConnectionStatus {
  return useStatusOf(useConnection(options));
}

export function useStatusOf(connection: Connection): ConnectionStatus {
  const status = useSyncExternalStore(connection.subscribe, connection.getStatus, () => "idle" as const);
  const error = useConnectionError(connection);
  return { status, isConnected: status === "open", error };
}

export function useIsConnected(connection: Connection): boolean {
  return useSyncExternalStore(
    connection.subscribe,
    () => connection.getStatus() === "open",
    () => false,
  );
}

export function useConnectionError(connection: Connection): TidingsError | null {
  return useSyncExternalStore(connection.subscribe, connection.getError, () => null);
}
