/**
 * Which connection a hook uses. A connection belongs to a provider, or to the page where there is none, and to an
 * address; all hooks of the same place and address share it, and whichever of them knows the token gives it.
 */

import {
  createContext,
  type ReactElement,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useRef,
} from "react";
import type { ClientOptions, TidingsClient } from "../client/api.ts";
import { createClient } from "../client/client.ts";
import { type Attachment, type Connection, Connections, type Credentials } from "./connection.ts";
import { useCommitEffect, useKept } from "./effects.ts";

/** What every hook takes to say which connection it uses. */
export interface ConnectionOptions extends Credentials {
  /** As `url` of `createClient`. Without it the provider's, and without that the page's own host. */
  readonly url?: string | URL | undefined;
}

/** What a connection is made with beside the address and who connects. */
type Settings = Omit<ClientOptions, "url" | "token" | "getToken" | "onState" | "signal">;

/** What the provider's connection is made of, or a client that the application has made itself. */
export type TidingsProviderProps = { readonly children?: ReactNode } & (
  | (ConnectionOptions & Settings & { readonly client?: undefined })
  | { readonly client: TidingsClient }
);

interface Place {
  readonly connections: Connections;
  readonly url: string | undefined;
}

const PlaceContext = createContext<Place>({ connections: new Connections(createClient), url: undefined });

/** Keeps one connection for all hooks below it, for as long as it is mounted. It connects with the first of them. */
export function TidingsProvider({ children, client, ...given }: TidingsProviderProps): ReactElement {
  const { url, token, getToken, onGap, onError, ...settings }: ConnectionOptions & Settings = given;
  const latest = useRef({ onGap, onError });
  useCommitEffect(() => {
    latest.current = { onGap, onError };
  });

  const make = () => {
    const handlers: Settings = {
      onGap: (gap) => latest.current.onGap?.(gap),
      onError: (error) => latest.current.onError?.(error),
    };
    return new Connections(createClient, { ...settings, ...handlers }, client);
  };
  const names = Object.keys(settings).sort() as (keyof typeof settings)[];
  const connections = useKept(make, client, ...names.flatMap((name) => [name, settings[name]]));
  const address = url === undefined ? undefined : String(url);
  const place = useMemo(() => ({ connections, url: address }), [connections, address]);

  const connection = connections.at(address);
  useCredentials(connection, { token, getToken });
  useEffect(() => connection.hold(stay), [connection]);
  return <PlaceContext.Provider value={place}>{children}</PlaceContext.Provider>;
}

/** Asks nothing of the client but to be there. */
const stay: Attachment = () => () => {};

export function useConnection(options: ConnectionOptions): Connection {
  const place = useContext(PlaceContext);
  const connection = place.connections.at(options.url === undefined ? place.url : String(options.url));
  useCredentials(connection, options);
  return connection;
}

function useCredentials(connection: Connection, { token, getToken }: Credentials): void {
  useCommitEffect(() => connection.authorize({ token, getToken }), [connection, token, getToken]);
}
