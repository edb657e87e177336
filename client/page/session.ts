/**
 * This page's own connection: who it is, how fast it reads, and what the server calls it.
 *
 * A token never stays in the address: it is taken out before anything else happens. One that came there is kept for
 * the tab, so that the page can be loaded again; one that a person pastes is kept nowhere.
 */

import type { TidingsClient } from "../src/client/api.ts";
import { createClient } from "../src/client/client.ts";

/** Bytes of events a second that the page reads at most when it reads slowly: a handful of events. */
export const SLOW_PACE = 2_048;

export interface Standing {
  readonly token: string | null;
  /** What the server calls the connection, as in `c_…`; `null` while there is none. */
  readonly connection: string | null;
  /** Bytes of events a second that the page takes at most, where it reads slowly. */
  readonly pace: number | null;
}

export class Session {
  readonly client: TidingsClient;
  readonly #listeners = new Set<() => void>();
  #standing: Standing;

  constructor(token: string | null) {
    this.#standing = { token, connection: null, pace: null };
    const session = this;

    /** A socket that asks for the pace, and hears what the server calls it. */
    class PageSocket extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(session.#paced(url), protocols);
        let name: string | null = null;
        const named = ({ data }: MessageEvent) => {
          name = nameIn(data);
          session.#become({ connection: name });
        };
        this.addEventListener("message", named, { once: true });
        // The one before may close after the next has its name.
        this.addEventListener("close", () => {
          if (session.#standing.connection === name) session.#become({ connection: null });
        });
      }
    }

    const url = new URL(".", document.baseURI);
    // Without a token the page asks for one, so it does not go by a cookie either.
    const access = token === null ? { getToken: () => null } : { token };
    this.client = createClient({ url, webSocket: PageSocket, ...access });
    this.client.on("state", (state) => {
      if (state === "unauthorized") forget();
    });
  }

  readonly get = (): Standing => this.#standing;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Goes on as whoever the token names. */
  connect(token: string): void {
    forget();
    this.#become({ token });
    this.client.stop();
    this.client.setToken(token);
    this.client.start();
  }

  disconnect(): void {
    forget();
    this.client.stop();
  }

  /** Connects at once, and goes on where it was. */
  reconnect(): void {
    this.client.stop();
    this.client.start();
  }

  /** Connects anew with another pace, and goes on where it was: what was not read yet waits for it. */
  setPace(pace: number | null): void {
    this.#become({ pace });
    if (this.client.state !== "closed" && this.client.state !== "unauthorized") this.reconnect();
  }

  #paced(url: string): string {
    const { pace } = this.#standing;
    return pace === null ? url : `${url}?pace=${pace}`;
  }

  #become(change: Partial<Standing>): void {
    this.#standing = { ...this.#standing, ...change };
    for (const listener of this.#listeners) listener();
  }
}

function nameIn(message: unknown): string | null {
  try {
    const { type, connection } = JSON.parse(String(message)) as Record<string, unknown>;
    return type === "welcome" && typeof connection === "string" ? connection : null;
  } catch {
    return null;
  }
}

const KEPT = "tidings.token";

/** The token that the page was opened with, which is in its address no longer. */
export function takeToken(): string | null {
  const here = new URL(location.href);
  const given = here.searchParams.get("token");
  if (given === null) return sessionStorage.getItem(KEPT);
  here.searchParams.delete("token");
  history.replaceState(null, "", here);
  sessionStorage.setItem(KEPT, given);
  return given;
}

function forget(): void {
  sessionStorage.removeItem(KEPT);
}

export interface Claims {
  readonly user: string;
  /** Unix seconds; absent where the token does not expire. */
  readonly expiresAt?: number;
}

/** What a token says of itself. Whether it is true, the server knows. */
export function readClaims(token: string): Claims | null {
  try {
    const part = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (char) =>
      char.charCodeAt(0),
    );
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    if (typeof sub !== "string") return null;
    return { user: sub, ...(typeof exp === "number" && { expiresAt: exp }) };
  } catch {
    return null;
  }
}
