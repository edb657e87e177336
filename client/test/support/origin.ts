/**
 * An origin of a browser in memory: its tabs have Web Locks, BroadcastChannel and WebSocket, and can be closed,
 * crashed, frozen and thawed at will. So what tabs do among themselves is tested against a real server, and each fault
 * comes exactly when the test wants it.
 */

import { vi } from "vitest";
import { WebSocket } from "ws";
import { type ClientOptions, createClient, type TidingsClient } from "../../src/index.ts";
import { waitFor } from "./server.ts";

type Granted = (lock: Lock | null) => unknown;

interface Claim {
  readonly tab: Tab;
  readonly name: string;
  readonly isShared: boolean;
  grant(): void;
  break(): void;
}

export class Origin {
  readonly channels = new Set<Channel>();
  readonly #held = new Set<Claim>();
  #waiting: Claim[] = [];

  /** Opens a tab whose page makes a client, and waits until that takes part. */
  async open(options: ClientOptions): Promise<Tab> {
    const tab = new Tab(this);
    vi.stubGlobal("navigator", { onLine: true, locks: tab.locks });
    vi.stubGlobal("BroadcastChannel", tab.Channel);
    vi.stubGlobal("document", undefined);
    vi.stubGlobal("addEventListener", tab.page.addEventListener.bind(tab.page));
    tab.client = createClient({ shared: true, webSocket: tab.WebSocket, ...options });
    tab.client.start();
    await waitFor("the tab to take part", () => this.holds(tab) || 0 < tab.sockets.size);
    return tab;
  }

  /** Whether a tab holds a lock. */
  holds(tab: Tab): boolean {
    return [...this.#held].some((claim) => claim.tab === tab);
  }

  names(): string[] {
    return [...this.#held].map(({ name }) => name);
  }

  claim(claim: Claim, steals: boolean): void {
    if (steals) {
      for (const held of this.#held) {
        if (held.name !== claim.name) continue;
        this.#held.delete(held);
        held.break();
      }
      this.#waiting.unshift(claim);
    } else {
      this.#waiting.push(claim);
    }
    this.#grant();
  }

  release(claim: Claim): void {
    this.#held.delete(claim);
    this.#waiting = this.#waiting.filter((one) => one !== claim);
    this.#grant();
  }

  releaseAll(tab: Tab): void {
    for (const claim of [...this.#held, ...this.#waiting]) if (claim.tab === tab) this.release(claim);
  }

  #grant(): void {
    for (const claim of [...this.#waiting]) {
      const before = this.#waiting.slice(0, this.#waiting.indexOf(claim));
      const others = [...this.#held, ...before].filter(({ name }) => name === claim.name);
      if (others.some(({ isShared }) => !isShared || !claim.isShared)) continue;
      this.#waiting = this.#waiting.filter((one) => one !== claim);
      this.#held.add(claim);
      claim.grant();
    }
  }
}

export class Tab {
  /** What the page is told of its own life. */
  readonly page = new EventTarget();
  readonly sockets = new Set<WebSocket>();
  declare client: TidingsClient;
  readonly #origin: Origin;
  /** What waits for a frozen tab; nothing where the tab runs. */
  #frozen: (() => void)[] | undefined;
  #isDead = false;

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** Ends it without a word, as a crash does. */
  crash(): void {
    this.#isDead = true;
    for (const socket of this.sockets) socket.terminate();
    this.#origin.releaseAll(this);
    for (const channel of this.#origin.channels) if (channel.tab === this) channel.close();
  }

  freeze(): void {
    this.#frozen ??= [];
  }

  thaw(): void {
    const waiting = this.#frozen ?? [];
    this.#frozen = undefined;
    for (const task of waiting) task();
  }

  /** Runs what the browser tells the page, once the page runs. */
  do(task: () => void): void {
    if (this.#isDead) return;
    if (this.#frozen) this.#frozen.push(task);
    else task();
  }

  readonly locks = {
    request: (name: string, options: LockOptions, granted: Granted): Promise<unknown> => {
      const { mode, signal, steal = false } = options;
      return new Promise((resolve, reject) => {
        const broken = () => reject(new DOMException("broken", "AbortError"));
        const claim: Claim = {
          tab: this,
          name,
          isShared: mode === "shared",
          grant: () => {
            this.do(async () => {
              signal?.removeEventListener("abort", give);
              try {
                resolve(await granted({ name, mode: mode ?? "exclusive" }));
              } catch (error) {
                reject(error);
              } finally {
                this.do(() => this.#origin.release(claim));
              }
            });
          },
          break: () => this.do(broken),
        };
        const give = () => {
          this.#origin.release(claim);
          broken();
        };
        signal?.addEventListener("abort", give);
        if (signal?.aborted) broken();
        else if (!this.#isDead) this.#origin.claim(claim, steal);
      });
    },
    query: async () => ({ held: this.#origin.names().map((name) => ({ name })) }),
  };

  readonly Channel = channelOf(this, this.#channels());
  readonly WebSocket = socketOf(this);

  #channels(): () => Set<Channel> {
    return () => this.#origin.channels;
  }
}

interface Channel {
  readonly tab: Tab;
  readonly name: string;
  onmessage: ((event: { readonly data: unknown }) => void) | undefined;
  close(): void;
}

/** Messages arrive in the order in which they were posted, in a later turn, as copies. */
function channelOf(tab: Tab, all: () => Set<Channel>) {
  return class {
    readonly tab = tab;
    onmessage: Channel["onmessage"];
    readonly name: string;

    constructor(name: string) {
      this.name = name;
      all().add(this);
    }

    postMessage(data: unknown): void {
      if (!all().has(this)) return;
      for (const other of all()) {
        if (other.name !== this.name || other === this) continue;
        const copy = structuredClone(data);
        setImmediate(() => other.tab.do(() => all().has(other) && other.onmessage?.({ data: copy })));
      }
    }

    close(): void {
      all().delete(this);
    }
  };
}

function socketOf(tab: Tab) {
  return class {
    readonly #socket: WebSocket;

    constructor(url: string, protocols: string[]) {
      this.#socket = new WebSocket(url, protocols);
      tab.sockets.add(this.#socket);
      this.#socket.on("close", () => tab.sockets.delete(this.#socket));
    }

    send(text: string): void {
      this.#socket.send(text);
    }

    close(): void {
      this.#socket.close();
    }

    addEventListener(type: "message" | "error" | "close", listener: (event: never) => void): void {
      this.#socket.addEventListener(type as "message", (event) => tab.do(() => listener(event as never)));
    }
  };
}
