/** Where a server is, from what the application gives as `url`. */

import { TidingsError } from "../errors.ts";

export interface Address {
  readonly webSocket: string;
  /** What the paths of HTTP are below; ends with a slash. */
  readonly http: string;
}

/** Reads an address; without one it is the page's own host. A path may stand before the server's own. */
export function readAddress(url: string | URL = "/"): Address {
  // Workers have a location too; Node has none.
  const base = (globalThis as { location?: { href: string } }).location?.href;
  let read: URL;
  try {
    read = new URL(url, base);
  } catch (cause) {
    throw new TidingsError("invalid_url", `${quoted(url)} is no address: ${HINT}`, { cause });
  }
  const scheme = /^(?:ws|http)(s?):$/.exec(read.protocol);
  if (!scheme) throw new TidingsError("invalid_url", `${quoted(url)} has not one of the schemes: ${HINT}`);
  const below = `${read.host}${read.pathname.replace(/\/(?:ws)?$/, "")}/`;
  return { webSocket: `ws${scheme[1]}://${below}ws`, http: `http${scheme[1]}://${below}` };
}

const HINT = "give `url` with ws:, wss:, http: or https:, or on a page as a path of its own host.";

function quoted(url: string | URL): string {
  return JSON.stringify(String(url));
}
