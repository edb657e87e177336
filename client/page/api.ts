/** What the page asks of the server over HTTP, and in which form the answers come (PROTOCOL §6). */

import type { ServerStats } from "../src/emitter/api.ts";
import type { CloudEvent, Lane } from "../src/types.ts";
import type { EventSchema } from "./schema.ts";

export type PerLane<T> = Readonly<Record<Lane, T>>;

/** What waits in a lane: queued, and in history yet to be looked at. */
export interface Lag {
  readonly queued: number;
  readonly catchUp: number;
}

export interface Interest {
  readonly id: string;
  readonly events: readonly string[];
  readonly filter: Readonly<Record<string, unknown>>;
}

export interface ConnectionRow {
  readonly connection: string;
  readonly user: string;
  readonly address: string;
  readonly transport: "websocket" | "sse";
  readonly ageMs: number;
  readonly silentMs: number;
  readonly subscriptions: number;
  readonly queued: number;
  readonly catchUp: number;
  readonly catchingUp: boolean;
  readonly lanes: PerLane<Lag>;
  readonly pace: number | null;
  readonly expiresAt: number | null;
  /** In the answer about one connection only. */
  readonly interests?: readonly Interest[];
}

export interface ConnectionList {
  readonly connections: readonly ConnectionRow[];
  /** Where the list goes on. */
  readonly next?: string;
}

export type NewEvent = Partial<CloudEvent> & Pick<CloudEvent, "type" | "data">;

export interface Published {
  readonly id: string;
  readonly offset: number;
  readonly duplicate: boolean;
}

/** A fault in what was published, with the JSON path to it. */
export interface EventFault {
  readonly path: string;
  readonly message: string;
}

/** The server said no (RFC 9457). */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly faults: readonly EventFault[];

  constructor(status: number, { code, detail, errors }: Record<string, unknown>) {
    super(typeof detail === "string" ? detail : `the server answered ${status}`);
    this.status = status;
    this.code = String(code);
    this.faults = Array.isArray(errors) ? (errors as EventFault[]) : [];
  }
}

export class Api {
  readonly #token: () => string | null;

  constructor(token: () => string | null) {
    this.#token = token;
  }

  readonly stats = (signal: AbortSignal): Promise<ServerStats> => this.#ask("v1/stats", { signal });

  readonly schema = (signal: AbortSignal): Promise<EventSchema> => this.#ask("v1/schema", { signal });

  connections(query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ConnectionList> {
    return this.#ask(`v1/connections?${new URLSearchParams(query)}`, { signal });
  }

  disconnect(query: Readonly<Record<string, string>>): Promise<{ readonly disconnected: number }> {
    return this.#ask(`v1/connections?${new URLSearchParams(query)}`, { method: "DELETE" });
  }

  async publish(events: NewEvent | readonly NewEvent[]): Promise<readonly Published[]> {
    const headers = { "content-type": "application/json" };
    const { results } = await this.#ask<{ results: Published[] }>("v1/events", {
      method: "POST",
      headers,
      body: JSON.stringify(events),
    });
    return results;
  }

  async #ask<T>(path: string, init: RequestInit): Promise<T> {
    const headers = new Headers(init.headers);
    const token = this.#token();
    if (token !== null) headers.set("authorization", `Bearer ${token}`);
    const response = await fetch(new URL(path, document.baseURI), { ...init, headers });
    const body: unknown = await response.json().catch(() => ({}));
    if (!response.ok) throw new Refusal(response.status, body as Record<string, unknown>);
    return body as T;
  }
}
