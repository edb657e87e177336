/** Stands between a client and its server, and cuts what goes through it. */

import { once } from "node:events";
import { connect, createServer, type Server as Listener, type Socket } from "node:net";
import type { Server } from "./server.ts";

export class Cutter {
  readonly #listener: Listener;
  readonly #sockets = new Set<Socket>();

  private constructor(listener: Listener) {
    this.#listener = listener;
  }

  static async start(server: Server): Promise<Cutter> {
    const listener = createServer();
    const proxy = new Cutter(listener);
    listener.on("connection", (near) => proxy.#join(near, server.address));
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    return proxy;
  }

  get url(): string {
    const { port } = this.#listener.address() as { port: number };
    return `http://127.0.0.1:${port}`;
  }

  /** Connections that go through it. */
  get size(): number {
    return this.#sockets.size / 2;
  }

  /** Breaks every connection, without a word to either side. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
  }

  #join(near: Socket, address: string): void {
    const [host, port] = address.split(":");
    const far = connect(Number(port), host);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}
