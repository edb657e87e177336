/** A connection as the machine's shell sees it, and the one over WebSocket. */

import type { WebSocketConstructor } from "./api.ts";

export interface Connection {
  send(text: string): void;
  close(): void;
}

/**
 * What comes of a connection: messages, and then its end, which may be said twice. Whoever receives passes over what
 * comes after that, or after `close`.
 */
export interface Receiver {
  message(text: string): void;
  /** Without a code where the connection did not open or broke. */
  closed(code?: number, reason?: string): void;
}

/** Connects; rejected where that cannot be. A blank token is none: then the server looks for a cookie. */
export type Connect = (token: string, receiver: Receiver) => Promise<Connection>;

/**
 * Connects over WebSocket. The token goes as a subprotocol, which no log of a proxy keeps, and not in the address.
 * What no token can be is encoded, so that the server refuses it. Throws where the surroundings do not allow the
 * address, as `ws:` from a page over `https:`.
 */
export function openWebSocket(
  WebSocket: WebSocketConstructor,
  address: string,
  token: string,
  receiver: Receiver,
): Connection {
  const protocols = ["tidings.v1"];
  if (token.trim()) protocols.push(`tidings.bearer.${encodeURIComponent(token)}`);
  const socket = new WebSocket(address, protocols);
  socket.addEventListener("message", ({ data }) => receiver.message(String(data)));
  // Where a connection fails, not every implementation says `close` after `error`.
  socket.addEventListener("error", () => receiver.closed());
  socket.addEventListener("close", ({ code, reason }) => receiver.closed(code, reason));
  return socket;
}
