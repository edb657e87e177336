/** What the end of a connection means to a client (PROTOCOL §7), and what the application is told of it. */

import { TidingsError } from "../errors.ts";

export const NORMAL = 1000;
export const BAD_MESSAGES = 4400;
export const UNAUTHORIZED = 4401;
export const DISCONNECTED = 4403;
export const SILENT = 4408;
export const EXPIRED = 4419;

/** Whether a reconnection would only repeat it. */
export function isFault(code = 0): boolean {
  return [1002, 1003, 1007, 1009, BAD_MESSAGES].includes(code);
}

const HINTS: Readonly<Record<number, readonly [code: string, hint: string]>> = {
  [UNAUTHORIZED]: ["unauthorized", "the server does not accept the token; give another"],
  [DISCONNECTED]: ["disconnected", "an operator ended it; sign in again"],
  [EXPIRED]: ["unauthorized", "the token has expired; asking for another"],
};

/** The error of a connection that was closed with `code`, or failed without one. */
export function closeError(code = 1006, reason = ""): TidingsError {
  const [kind, hint] = isFault(code)
    ? ["protocol", "a fault of this client; update it, or send less"]
    : (HINTS[code] ?? [
        "connection_failed",
        "trying again; does the server run there, and allow this origin?",
      ]);
  return new TidingsError(kind, `Connection closed (${code} ${reason}): ${hint}`);
}
