/** Where a server is, from what the application gives as `url`. */

import { TidingsError } from "../errors.ts";

/** The address of a path of the server, for WebSocket or HTTP. */
export type Address = (scheme: "ws" | "http", path: string) => string;

/** Reads an address; without one it is the page's own host. Before the server's paths others may stand. */
export function readAddress(url: string | URL = "/"): Address {
  try {
    // Workers have a location too; Node has none.
    const { protocol, host, pathname } = new URL(
      url,
      (globalThis as { location?: { href: string } }).location?.href,
    );
    const [, secure] = /^(?:ws|http)(s?:)$/.exec(protocol) ?? [];
    if (secure)
      return (scheme, path) => `${scheme}${secure}//${host}${pathname.replace(/\/(ws)?$/, "")}${path}`;
  } catch {
    // What cannot be read is refused like what has another scheme.
  }
  throw new TidingsError("invalid_url", `\`url\` must be wss:, ws:, https: or http:, and not "${url}"`);
}
