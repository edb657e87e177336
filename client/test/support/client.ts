/** Clients of a test: each is stopped with it. */

import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { type ClientOptions, createClient, type TidingsClient } from "../../src/index.ts";
import { token } from "./server.ts";

/** A client of the server at `url` as user `u1`, over the WebSocket of the package `ws`. */
export function connect({ url }: { readonly url: string }, options: ClientOptions = {}): TidingsClient {
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const common = { url, webSocket: WebSocket, signal: stop.signal };
  return createClient({ ...common, ...(options.getToken ? {} : { token: token() }), ...options });
}
