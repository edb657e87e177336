/** Stands between a client and its server, and cuts what goes through it: when it is told to, or after so many bytes. */

import { once } from "node:events";
import { connect, createServer, type Server as Listener, type Socket } from "node:net";
import { Transform } from "node:stream";
import type { Server } from "./server.ts";

/** Cuts a connection once so many bytes have gone to the server, or have come from it. */
export type Cut = { readonly sent: number } | { readonly received: number };

export class Cutter {
  readonly #listener: Listener;
  readonly #sockets = new Set<Socket>();
  #cuts = 0;

  private constructor(listener: Listener) {
    this.#listener = listener;
  }

  /** `plan` says for each connection, counted from 0, where it is cut by itself, if at all. */
  static async start(server: Server, plan: readonly Cut[] = []): Promise<Cutter> {
    const listener = createServer();
    const proxy = new Cutter(listener);
    let number = 0;
    listener.on("connection", (near) => proxy.#join(near, server.address, plan[number++]));
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

  /** Connections that were cut by themselves. */
  get cuts(): number {
    return this.#cuts;
  }

  /** Breaks every connection, without a word to either side. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
  }

  #join(near: Socket, address: string, cut: Cut | undefined): void {
    const [host, port] = address.split(":");
    const far = connect(Number(port), host);
    for (const [one, other, bytes] of [
      [near, far, cut && "sent" in cut ? cut.sent : undefined],
      [far, near, cut && "received" in cut ? cut.received : undefined],
    ] as const) {
      this.#sockets.add(one);
      if (bytes === undefined) one.pipe(other);
      else one.pipe(this.#first(bytes, one)).pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }

  /** Lets so many bytes through; with the next one the connection is cut. */
  #first(bytes: number, socket: Socket): Transform {
    let left = bytes;
    let isCut = false;
    return new Transform({
      transform: (chunk: Buffer, _, done) => {
        const over = left < chunk.length;
        done(null, chunk.subarray(0, left));
        left -= Math.min(left, chunk.length);
        if (!over || isCut) return;
        isCut = true;
        this.#cuts += 1;
        // What was let through is to arrive.
        setImmediate(() => socket.destroy());
      },
    });
  }
}
