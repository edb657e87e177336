/** What an emitter is made with: the options, what the environment adds to them, and the defaults. */

import process from "node:process";
import { TidingsError } from "../errors.ts";
import type { EmitterOptions } from "./api.ts";

const DEFAULTS = {
  batchDelay: 2,
  batchEvents: 1_000,
  queueEvents: 10_000,
  queueBytes: 16 * 1024 * 1024,
  retryFor: 240_000,
  timeout: 30_000,
};

export interface Settings extends Required<Pick<EmitterOptions, keyof typeof DEFAULTS | "overflow">> {
  readonly url: URL;
  readonly apiKey: string;
  readonly fetch: typeof globalThis.fetch;
  readonly source: string | undefined;
  readonly onError: EmitterOptions["onError"];
  readonly signal: AbortSignal | undefined;
}

/** Throws a `TidingsError` where address or key are missing or can never work, a `RangeError` for a number that is none. */
export function settingsOf(options: EmitterOptions): Settings {
  const { url, apiKey, overflow = "reject", source, onError, signal } = options;
  const numbers = { ...DEFAULTS };
  for (const name of Object.keys(numbers) as (keyof typeof DEFAULTS)[]) {
    const least = name === "batchDelay" ? 0 : 1;
    const value = options[name] ?? numbers[name];
    if (!(Number.isSafeInteger(value) && least <= value)) {
      throw new RangeError(`${name} must be a whole number from ${least}, and is ${value}`);
    }
    numbers[name] = value;
  }
  return {
    ...numbers,
    url: addressOf(url ?? process.env.TIDINGS_URL),
    apiKey: keyOf(apiKey ?? process.env.TIDINGS_API_KEY),
    // Looked up with each request, so that instruments which replace it later take part.
    fetch: options.fetch ?? ((...request) => globalThis.fetch(...request)),
    overflow,
    source,
    onError,
    signal,
  };
}

/** The address below which the server's paths stand. */
function addressOf(given: string | URL | undefined): URL {
  if (given === undefined || given === "") {
    throw new TidingsError("invalid_url", "the emitter has no address: pass `url` or set TIDINGS_URL");
  }
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    const example = "http://127.0.0.1:8080";
    throw new TidingsError("invalid_url", `${given} is not an address of HTTP, as ${example} is`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TidingsError("invalid_url", "the address must not hold credentials: pass `apiKey`");
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

function keyOf(given: string | undefined): string {
  const key = given?.trim() ?? "";
  if (key === "") {
    throw new TidingsError(
      "unauthorized",
      "the emitter has no API key: pass `apiKey` or set TIDINGS_API_KEY",
    );
  }
  if (!/^[!-~]+$/.test(key)) {
    throw new TidingsError("unauthorized", "the API key has characters that no HTTP field can hold");
  }
  return key;
}
