/** A TCP proxy on a port that the system chose, which breaks connections where the test says so. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Breaks a connection once so many bytes have gone to the server, or before more than so many have come from it. */
export type Break = { readonly sent: number } | { readonly received: number };

export class BreakingProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #broken = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** A proxy to `address`; `fault` says for each connection, counted from 1, where it breaks, if at all. */
  static async start(
    address: string,
    fault: (number: number) => Break | undefined = () => undefined,
  ): Promise<BreakingProxy> {
    const server = createServer();
    const proxy = new BreakingProxy(server);
    let number = 0;
    server.on("connection", (near) => {
      number += 1;
      proxy.#join(near, address, fault(number));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  /** As in `http://127.0.0.1:43210`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many connections it has broken. */
  get broken(): number {
    return this.#broken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(near: Socket, address: string, fault: Break | undefined): void {
    const [host, port] = address.split(":");
    const far = connect(Number(port), host);
    const end = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on("error", end);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    let [sent, received] = [0, 0];
    const shut = () => {
      this.#broken += 1;
      end();
    };
    near.on("data", (bytes) => {
      sent += bytes.length;
      if (fault !== undefined && "sent" in fault && fault.sent < sent) {
        far.write(bytes.subarray(0, Math.max(0, bytes.length - (sent - fault.sent))), shut);
      } else far.write(bytes);
    });
    far.on("data", (bytes) => {
      received += bytes.length;
      if (fault !== undefined && "received" in fault && fault.received < received) {
        near.write(bytes.subarray(0, Math.max(0, bytes.length - (received - fault.received))), shut);
      } else near.write(bytes);
    });
  }
}
