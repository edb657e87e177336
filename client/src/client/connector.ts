/** Over which transport to connect: WebSocket, or Server-Sent Events where nothing comes over that. */

import type { Address } from "./address.ts";
import type { ClientOptions, WebSocketConstructor } from "./api.ts";
import type { openSse } from "./sse.ts";
import { type Connect, openWebSocket, type Receiver } from "./transport.ts";

/** What connects to the server at `address`; `load` gives the fallback. */
export function connector(
  address: Address,
  { transport = "auto", webSocket = (globalThis as Surroundings).WebSocket }: ConnectorOptions,
  load: () => Promise<{ readonly openSse: typeof openSse }>,
): Connect {
  let overSse = transport === "sse" || (transport === "auto" && !webSocket);
  const mayTurn = transport === "auto" && !overSse;
  /** Connections in a row of which nothing came. */
  let failures = 0;
  return async (token, { message, closed }) => {
    // Where nothing comes over WebSocket it may be blocked; whether it still is, the next connection finds out. A cookie
    // does for WebSocket only: from a page of its own host, a server that is asked over HTTP is not told the origin.
    if (mayTurn && token.trim() && (1 < failures || (overSse && !failures))) {
      overSse = !overSse;
      failures = 0;
    }
    failures++;
    const receiver: Receiver = {
      message: (text) => {
        failures = 0;
        message(text);
      },
      closed: (code, reason) => {
        if (code && code !== 1006) failures = 0;
        closed(code, reason);
      },
    };
    if (overSse) return (await load()).openSse(address, token, receiver);
    if (webSocket) return openWebSocket(webSocket, address("ws", "/ws"), token, receiver);
    throw new Error("there is no WebSocket here: give `webSocket`");
  };
}

type ConnectorOptions = Pick<ClientOptions, "transport" | "webSocket">;

interface Surroundings {
  readonly WebSocket?: WebSocketConstructor;
}
