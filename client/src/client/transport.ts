/** A connection as the machine's shell sees it, and the one over WebSocket. */

import type { WebSocketConstructor } from "./api.ts";

/** One connection. Nothing comes of it after `close`. */
export interface Connection {
  send(text: string): void;
  close(): void;
}

/** What comes of a connection, in this order: messages, and one end. */
export interface Receiver {
  message(text: string): void;
  /** Without a code where the connection did not open or broke. */
  closed(code?: number, reason?: string): void;
}

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
  const socket = new WebSocket(address, ["tidings.v1", `tidings.bearer.${encodeURIComponent(token)}`]);
  let live = true;
  const end = (code?: number, reason?: string) => {
    if (live) receiver.closed(code, reason);
    live = false;
  };
  socket.addEventListener("message", ({ data }) => {
    if (live) receiver.message(String(data));
  });
  // Where a connection fails, not every implementation says `close` after `error`.
  socket.addEventListener("error", () => end());
  socket.addEventListener("close", ({ code, reason }) => end(code, reason));
  return {
    send: (text) => socket.send(text),
    close: () => {
      live = false;
      socket.close();
    },
  };
}
