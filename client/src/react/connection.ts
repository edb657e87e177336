/**
 * The connection that the components of a page share: one client for an address, made with the first component that
 * needs it and stopped after the last. What a component leaves stays for a moment, so that one that is mounted again
 * at once (as StrictMode does, and a change of route) finds its socket and its subscriptions as they were.
 */

import type { ClientOptions, ClientState, CreateClient, Subscription, TidingsClient } from "../client/api.ts";
import { TidingsError } from "../errors.ts";

/** How long what a component has left stays, in ms. */
export const LINGER_MS = 500;

/** What a component does with a client; it returns what ends it. */
export type Attachment = (client: TidingsClient) => () => void;

type GetToken = NonNullable<ClientOptions["getToken"]>;

/** Who connects. What is `undefined` is left to other components that know. */
export interface Credentials {
  /** `null`: nobody is signed in, so there is no connection. */
  readonly token?: string | null | undefined;
  readonly getToken?: GetToken | undefined;
}

interface Hold {
  holders: number;
  readonly end: () => void;
  leaving: ReturnType<typeof setTimeout> | undefined;
}

export class Connection {
  readonly #create: (getToken: GetToken) => TidingsClient;
  /** Whether the client is one of its own, to be stopped. */
  readonly #owned: boolean;
  readonly #holds = new Map<Attachment, Hold>();
  readonly #listeners = new Set<() => void>();
  readonly #renewals = new Set<() => void>();
  #client: TidingsClient | null = null;
  /** Why there can be no client. */
  #fault: TidingsError | null = null;
  #token: string | null | undefined;
  /** How many tokens there have been. */
  #tokens = 0;
  #getToken: GetToken | undefined;

  /** With options, a client is made and stopped here; a client is the application's own. */
  constructor(from: { readonly create: CreateClient; readonly options: ClientOptions } | TidingsClient) {
    this.#owned = "create" in from;
    this.#create = (getToken) => ("create" in from ? from.create({ ...from.options, getToken }) : from);
    if (!("create" in from)) this.#client = from;
  }

  readonly getStatus = (): ClientState => this.#client?.state ?? (this.#fault === null ? "idle" : "closed");

  readonly getError = (): TidingsError | null => this.#client?.error ?? this.#fault;

  /** Tells of every change of status or error. It keeps a client, but does not make it connect. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    const release = this.hold(this.#follow);
    return () => {
      this.#listeners.delete(listener);
      release();
    };
  };

  /**
   * Keeps a subscription that `begin` begins, until the returned function is called: where it was refused it is begun
   * again with every new token, which may allow what the one before did not. `failed` is told why it is refused, and
   * `null` when it is asked for anew.
   */
  keep(
    begin: (onError: (error: TidingsError) => void) => Subscription,
    failed: (error: TidingsError | null) => void,
  ): () => void {
    let isRefused = false;
    const ask = (): Subscription => {
      const tokens = this.#tokens;
      return begin((error) => {
        // There may be another token by now.
        if (tokens === this.#tokens) {
          isRefused = true;
          failed(error);
        } else {
          subscription = ask();
        }
      });
    };
    let subscription = ask();
    const renew = () => {
      if (!isRefused) return;
      isRefused = false;
      failed(null);
      subscription = ask();
    };
    this.#renewals.add(renew);
    return () => {
      this.#renewals.delete(renew);
      subscription.unsubscribe();
    };
  }

  /** Takes the newest credentials: a token goes to the client in place, and nothing that goes on is begun anew. */
  authorize({ token, getToken }: Credentials): void {
    if (token !== undefined && token !== this.#token) {
      this.#token = token;
      this.#client?.setToken(token);
      if (token !== null) this.#renew();
    }
    if (getToken === undefined) return;
    const isNew = this.#getToken === undefined || (token === undefined && this.#token === null);
    this.#getToken = getToken;
    if (!isNew || token !== undefined) return;
    this.#token = undefined;
    if (this.#client?.state === "unauthorized") this.#client.start();
  }

  #renew(): void {
    this.#tokens += 1;
    for (const renew of this.#renewals) renew();
  }

  /** Keeps the client, and `attachment` on it, until the returned function has been called, and a moment longer. */
  hold(attachment: Attachment): () => void {
    const hold = this.#holds.get(attachment) ?? {
      holders: 0,
      end: this.#attach(attachment),
      leaving: undefined,
    };
    this.#holds.set(attachment, hold);
    hold.holders += 1;
    clearTimeout(hold.leaving);
    return () => {
      hold.holders -= 1;
      if (hold.holders === 0) hold.leaving = setTimeout(() => this.#leave(attachment, hold), LINGER_MS);
    };
  }

  #attach(attachment: Attachment): () => void {
    const client = this.#open();
    return client === null ? () => {} : attachment(client);
  }

  #open(): TidingsClient | null {
    if (this.#client !== null) return this.#client;
    let asked = 0;
    try {
      this.#client = this.#create((context) => this.#answer(context, asked++));
    } catch (error) {
      // An address that cannot be is shown as an error, as one that does not answer is.
      if (!(error instanceof TidingsError)) throw error;
      this.#fault = error;
    }
    return this.#client;
  }

  #answer(context: Parameters<GetToken>[0], asked: number): ReturnType<GetToken> {
    if (this.#token === null) return null;
    if (this.#getToken !== undefined) return this.#getToken(context);
    // A client that asks again does not want the token that it has had.
    return asked === 0 ? (this.#token ?? null) : null;
  }

  #leave(attachment: Attachment, hold: Hold): void {
    this.#holds.delete(attachment);
    hold.end();
    if (this.#holds.size > 0 || !this.#owned) return;
    const client = this.#client;
    this.#client = null;
    client?.stop();
  }

  readonly #follow: Attachment = (client) => {
    const unfollow = [client.on("state", this.#tell), client.on("error", this.#tell)];
    return () => {
      for (const end of unfollow) end();
    };
  };

  readonly #tell = (): void => {
    for (const listener of this.#listeners) listener();
  };
}

/** The connections of a page, or of a provider in it: one for each address. */
export class Connections {
  readonly #create: CreateClient;
  readonly #options: ClientOptions;
  readonly #byUrl = new Map<string | undefined, Connection>();

  /** `options` without an address and credentials. With `client`, that is the one without an address. */
  constructor(create: CreateClient, options: ClientOptions = {}, client?: TidingsClient) {
    this.#create = create;
    this.#options = options;
    if (client !== undefined) this.#byUrl.set(undefined, new Connection(client));
  }

  /** Looking one up connects nothing. */
  at(url: string | undefined): Connection {
    const known = this.#byUrl.get(url);
    if (known !== undefined) return known;
    const options = url === undefined ? this.#options : { ...this.#options, url };
    const connection = new Connection({ create: this.#create, options });
    this.#byUrl.set(url, connection);
    return connection;
  }
}
