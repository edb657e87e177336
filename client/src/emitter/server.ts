/**
 * The server as the emitter sees it: requests over HTTP, and what each answer means for the events that were sent.
 * Whatever happens to a batch is an answer, never a rejection.
 */

import type { PublishedEvent } from "../client/api.ts";
import { TidingsError } from "../errors.ts";
import type { Fault, ServerStats } from "./api.ts";

/** What became of a batch. */
export type Answer =
  /** All of it is in the log. */
  | { readonly kind: "published"; readonly results: readonly PublishedEvent[] }
  /** Nothing of it is, because of some: the faults of each by its place in the batch. */
  | { readonly kind: "faulty"; readonly error: TidingsError; readonly faults: ReadonlyMap<number, Fault[]> }
  /** Nothing of it is; which one is at fault was not said, so smaller batches may tell. */
  | { readonly kind: "divisible"; readonly error: TidingsError }
  /** Nothing of it is, nor ever will be. */
  | { readonly kind: "refused"; readonly error: TidingsError }
  /** Perhaps some of it is: to be sent again, not before so many ms. */
  | { readonly kind: "failed"; readonly error: TidingsError; readonly after: number };

/** What a server says where it does not do what it was asked (RFC 9457). */
interface Problem {
  readonly code?: unknown;
  readonly detail?: unknown;
  readonly errors?: unknown;
}

export interface ServerOptions {
  readonly url: URL;
  readonly apiKey: string;
  readonly timeout: number;
  readonly fetch: typeof globalThis.fetch;
}

export class Server {
  readonly #options: ServerOptions;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Publishes events, each given as its JSON. */
  async publish(events: readonly string[], signal: AbortSignal): Promise<Answer> {
    const response = await this.#request("v1/events", signal, {
      method: "POST",
      body: `[${events.join()}]`,
      headers: { "Content-Type": "application/cloudevents-batch+json" },
    });
    return response instanceof TidingsError
      ? { kind: "failed", error: response, after: 0 }
      : answerOf(response, events.length);
  }

  /** What the server says about itself; rejects where it does not. */
  async stats(signal: AbortSignal): Promise<ServerStats> {
    const response = await this.#request("v1/stats", signal);
    if (response instanceof TidingsError) throw response;
    if (response.status !== 200) throw errorOf(response);
    if (!isStats(response.body)) throw strange(response.target);
    return response.body;
  }

  async #request(path: string, signal: AbortSignal, init?: RequestInit & { headers: object }) {
    const { url, apiKey, timeout, fetch } = this.#options;
    const target = new URL(path, url);
    const limit = new AbortController();
    const end = () => limit.abort(signal.reason);
    const timer = setTimeout(() => limit.abort(new Error(`no answer within ${timeout} ms`)), timeout);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    try {
      const headers = { ...init?.headers, Accept: "application/json", Authorization: `Bearer ${apiKey}` };
      // A redirected POST would lose its body.
      const response = await fetch(target, { ...init, headers, redirect: "manual", signal: limit.signal });
      const text = await response.text();
      return { target, status: response.status, headers: response.headers, body: parse(text) };
    } catch (cause) {
      return new TidingsError("connection_failed", `${target}: ${reasonOf(cause)}`, { cause });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
    }
  }
}

interface Response {
  readonly target: URL;
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

function answerOf(response: Response, sent: number): Answer {
  const { status, headers } = response;
  if (status === 200) return publishedOf(response, sent);
  const error = errorOf(response);
  if (status === 408 || status === 429 || 500 <= status) {
    return { kind: "failed", error, after: retryAfter(headers.get("Retry-After")) };
  }
  const faults = faultsByIndex(response.body, sent);
  if (0 < faults.size) return { kind: "faulty", error, faults };
  return { kind: status === 400 || status === 413 ? "divisible" : "refused", error };
}

function publishedOf({ target, body }: Response, sent: number): Answer {
  const results = isObject(body) && Array.isArray(body.results) ? body.results.map(resultOf) : [];
  const published = results.filter((result) => result !== undefined);
  if (published.length === sent && results.length === sent) return { kind: "published", results: published };
  return { kind: "refused", error: strange(target) };
}

function isStats(body: unknown): body is ServerStats {
  return isObject(body) && typeof body.totalConnections === "number";
}

function strange(target: URL): TidingsError {
  return new TidingsError(
    "protocol",
    `${target} does not answer as a Tidings server does: check the address`,
  );
}

function resultOf(result: unknown): PublishedEvent | undefined {
  if (!isObject(result)) return undefined;
  const { id, offset, duplicate } = result;
  if (typeof id !== "string" || typeof offset !== "number" || typeof duplicate !== "boolean")
    return undefined;
  return { eventId: id, offset, duplicate };
}

/** The faults that a refusal names, by the place of their event in the batch. */
function faultsByIndex(body: unknown, sent: number): Map<number, Fault[]> {
  const found = new Map<number, Fault[]>();
  const errors = isObject(body) && Array.isArray(body.errors) ? body.errors : [];
  for (const { index, path, message } of errors.filter(isObject)) {
    if (typeof index !== "number" || typeof path !== "string" || typeof message !== "string") continue;
    if (!(0 <= index && index < sent)) continue;
    const faults = found.get(index) ?? [];
    found.set(index, faults);
    faults.push({ path, message });
  }
  return found;
}

/** The error of an answer that is not 200. */
function errorOf({ target, status, headers, body }: Response): TidingsError {
  const { code, detail, errors }: Problem = isObject(body) ? body : {};
  const said = typeof detail === "string" ? detail : `${target} answers ${status}`;
  if (status === 401) {
    return new TidingsError("unauthorized", `the server does not accept the API key: ${said}`);
  }
  if (status < 400) {
    const location = headers.get("Location");
    return new TidingsError(
      "protocol",
      `${said}${location === null ? "" : ` and names ${location}`}: use that address`,
    );
  }
  if (status === 404 || status === 405) {
    return new TidingsError(
      "protocol",
      `${target} answers ${status}: is this the address of a Tidings server?`,
    );
  }
  const known = typeof code === "string" ? code : codeOf(status);
  return new TidingsError(known, said, { details: errors });
}

/** The code of a status that came without one, as from a proxy. */
function codeOf(status: number): string {
  if (status === 403) return "forbidden";
  if (status === 413) return "invalid_event";
  if (status === 429) return "rate_limited";
  return 500 <= status ? "unavailable" : "protocol";
}

/** A `Retry-After`, seconds or a date (RFC 9110 §10.2.3), in ms from now. */
function retryAfter(value: string | null): number {
  if (value === null) return 0;
  const seconds = Number(value);
  const after = Number.isFinite(seconds) ? seconds * 1000 : new Date(value).getTime() - Date.now();
  return Number.isFinite(after) ? Math.max(0, after) : 0;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What `fetch` says hides its reason one level below. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error.cause instanceof Error)) return error.message;
  // A name with several addresses has an error for each, and no message of its own.
  const code = "code" in error.cause ? String(error.cause.code) : error.cause.name;
  return error.cause.message || code;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
