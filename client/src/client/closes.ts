/** What the end of a connection means to a client (PROTOCOL §7), and what the application is told of it. */

import { TidingsError } from "../errors.ts";

export const NORMAL = 1000;
export const BAD_MESSAGES = 4400;
export const UNAUTHORIZED = 4401;
export const DISCONNECTED = 4403;
export const SILENT = 4408;
export const EXPIRED = 4419;

/** Whether a reconnection would only repeat it. */
export function isFault(code: number | undefined): boolean {
  return code !== undefined && [1002, 1003, 1007, 1009, BAD_MESSAGES].includes(code);
}

/** The error of a connection that was closed with `code`, or failed without one. */
export function closeError(code: number | undefined, reason: string): TidingsError {
  const words = [code ?? "no close code", reason].filter((word) => word !== "").join(" ");
  if (isFault(code)) {
    return new TidingsError(
      "protocol",
      `The server closed for a fault of this client (${words}): update it, or send less.`,
    );
  }
  if (code === UNAUTHORIZED) {
    return new TidingsError(
      "unauthorized",
      `The server does not accept the token (${words}): give it another.`,
    );
  }
  if (code === DISCONNECTED) {
    return new TidingsError("disconnected", `An operator disconnected this user (${words}): sign in again.`);
  }
  const hint = "Does the server run at this address, and allow this origin?";
  return new TidingsError(
    "connection_failed",
    `The connection failed or broke (${words}); trying again. ${hint}`,
  );
}

/** The error of a connection that this client gave up. */
export function givenUp(why: string): TidingsError {
  return new TidingsError("connection_failed", `${why}; trying again.`);
}
