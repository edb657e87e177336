/** WebSockets that a test plays the server of, and the surroundings of a browser's page. */

import { vi } from "vitest";
import { PATIENCE } from "./server.ts";

/** Waits until what a check says holds, which only turns of the loop can bring. */
export function eventually<T>(check: () => T): Promise<T> {
  return vi.waitFor(check, { timeout: PATIENCE, interval: 1 });
}

type Listener = (event: never) => void;

export class FakeSocket {
  /** All that were made, oldest first. */
  static all: FakeSocket[] = [];
  readonly url: string;
  readonly protocols: readonly string[];
  readonly sent: Record<string, unknown>[] = [];
  closed = false;
  readonly #listeners = new Map<string, Listener[]>();

  constructor(url: string, protocols: string[]) {
    this.url = url;
    this.protocols = protocols;
    FakeSocket.all.push(this);
  }

  /** The newest, once there are `count`. */
  static async made(count = 1): Promise<FakeSocket> {
    return eventually(() => {
      const socket = FakeSocket.all[count - 1];
      if (!socket) throw new Error(`${FakeSocket.all.length} sockets of ${count}`);
      return socket;
    });
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.closed = true;
  }

  /** What the server does. */
  says(message: object): void {
    this.#emit("message", { data: JSON.stringify(message) });
  }

  closes(code: number, reason = ""): void {
    this.#emit("close", { code, reason });
  }

  fails(): void {
    this.#emit("error", {});
    this.closes(1006);
  }

  #emit(type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
  }
}

/** A page's globals, as far as a client looks at them. */
export class FakePage extends EventTarget {
  readonly location = { href: "https://panel.example/admin/users?page=2" };
  readonly navigator = { onLine: true };
  readonly document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  readonly sessionStorage: FakeStorage = new FakeStorage();

  /** Makes them the globals for the rest of the test. */
  constructor() {
    super();
    for (const name of ["location", "navigator", "document", "sessionStorage"] as const)
      vi.stubGlobal(name, this[name]);
    vi.stubGlobal("addEventListener", this.addEventListener.bind(this));
  }

  happens(type: string): void {
    this.dispatchEvent(new Event(type));
  }

  shows(visibilityState: "visible" | "hidden"): void {
    this.document.visibilityState = visibilityState;
    this.document.dispatchEvent(new Event("visibilitychange"));
  }
}

export class FakeStorage {
  readonly items = new Map<string, string>();

  getItem(name: string): string | null {
    return this.items.get(name) ?? null;
  }

  setItem(name: string, value: string): void {
    this.items.set(name, value);
  }

  removeItem(name: string): void {
    this.items.delete(name);
  }
}
