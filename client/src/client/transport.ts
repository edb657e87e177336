/** A connection as the machine's shell sees it, and the one over WebSocket. */

import type { Address } from "./address.ts";
import type { WebSocketConstructor } from "./api.ts";

/** One connection. Nothing comes of it after `close`. */
export interface Connection {
  send(text: string): void;
  close(code: number): void;
}

/** What comes of a connection, in this order: messages, and one end. */
export interface Receiver {
  message(text: string): void;
  /** Without a code where the connection did not open or broke. */
  closed(code?: number, reason?: string): void;
}

/**
 * Connects over WebSocket. The token goes as a subprotocol, which no log of a proxy keeps, and not in the address.
 * Throws where the surroundings do not allow the address, as `ws:` from a page over `https:`.
 */
export function openWebSocket(
  WebSocket: WebSocketConstructor,
  address: Address,
  token: string,
  receiver: Receiver,
): Connection {
  const socket = new WebSocket(address.webSocket, ["tidings.v1", `tidings.bearer.${token}`]);
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
    close: (code) => {
      live = false;
      socket.close(code);
    },
  };
}
