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

/** What the provider's connection is made of, or a client that the application has made itself. */
export type TidingsProviderProps = { readonly children?: ReactNode } & (
  | (ConnectionOptions &
      Pick<ClientOptions, "transport" | "persist" | "onGap" | "onError"> & {
        readonly client?: undefined;
      })
  | { readonly client: TidingsClient }
);

interface Place {
  readonly connections: Connections;
  readonly url: string | undefined;
}

const PlaceContext = createContext<Place>({ connections: new Connections(createClient), url: undefined });

/** Keeps one connection for all hooks below it, for as long as it is mounted. It connects with the first of them. */
export function TidingsProvider(props: TidingsProviderProps): ReactElement {
  const { transport, persist, ...given }: Exclude<TidingsProviderProps, { client: TidingsClient }> =
    props.client === undefined ? props : {};
  const latest = useRef(given);
  useCommitEffect(() => {
    latest.current = given;
  });

  const make = () =>
    new Connections(
      createClient,
      {
        ...(transport !== undefined && { transport }),
        ...(persist !== undefined && { persist }),
        onGap: (gap) => latest.current.onGap?.(gap),
        onError: (error) => latest.current.onError?.(error),
      },
      props.client,
    );
  const connections = useKept(make, props.client, transport, persist);
  const url = given.url === undefined ? undefined : String(given.url);
  const place = useMemo(() => ({ connections, url }), [connections, url]);

  const connection = connections.at(url);
  useCredentials(connection, given);
  useEffect(() => connection.hold(stay), [connection]);
  return <PlaceContext.Provider value={place}>{props.children}</PlaceContext.Provider>;
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
