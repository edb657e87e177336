/**
 * The machine's thin shell: it gives it time, messages and what the browser says of network and page, and does what
 * it asks for. It decides nothing but over which transport to connect.
 */

import { TidingsError } from "../errors.ts";
import type { Position } from "../types.ts";
import { type Address, readAddress } from "./address.ts";
import type { ClientOptions, WebSocketConstructor } from "./api.ts";
import type { Handlers, Input, Now, Requests, Told } from "./io.ts";
import { Machine } from "./machine.ts";
import { type Connection, openWebSocket, type Receiver } from "./transport.ts";

/** What the application's side of a client stands on: a machine here, or one that tabs share. */
export interface Backend {
  readonly position: Position | null;
  /** Takes what the application wants; what comes of it is told later, never from within this call. */
  post(...input: Input): void;
}

export class Host implements Backend {
  readonly #options: ClientOptions;
  readonly #address: Address;
  /** What is done about each output. */
  readonly #handlers: Handlers<Requests & Told>;
  readonly #machine = new Machine(Math.random);
  #connection: Connection | undefined;
  /** The last question for a token; aborted where its answer is not waited for any more. */
  #question: AbortController | undefined;
  /** Listens to the browser while the client is not stopped. */
  #surroundings: AbortController | undefined;
  /** A token that does not change is given once: asked again, it is not the one that is wanted. */
  #tokenGiven = false;
  #draining = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The instant that the timer is set to. */
  #timerAt = NEVER;

  /** Throws where the options cannot be. */
  constructor(options: ClientOptions, told: Handlers<Told>) {
    this.#options = options;
    this.#address = readAddress(options.url);
    this.#handlers = {
      ...told,
      getToken: () => this.#ask(),
      open: (token) => this.#open(token),
      send: (text) => this.#connection?.send(text),
      close: (code) => {
        this.#connection?.close(code);
        this.#connection = undefined;
      },
    };
  }

  get position(): Position | null {
    return this.#machine.position;
  }

  post(...input: Input): void {
    if (input[0] === "start") this.#listen();
    // An older answer must not replace what the application gives by itself.
    if (input[0] === "setToken") this.#question?.abort();
    this.#machine.handle(now(), ...input);
    queueMicrotask(() => this.#drain());
  }

  /** Takes what happened outside. */
  #handle(...input: Input): void {
    this.#machine.handle(now(), ...input);
    this.#drain();
  }

  /** Does what the machine asks for, until it asks for nothing. What happens meanwhile is done in the same turn. */
  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    for (let output = this.#machine.pollOutput(); output; output = this.#machine.pollOutput()) {
      const [name, ...args] = output;
      (this.#handlers[name] as (...args: unknown[]) => void)(...args);
    }
    this.#draining = false;
    if (this.#machine.state === "closed") this.#surroundings?.abort();
    this.#arm();
  }

  /** Sets the timer, unless it rings early enough already: a deadline that has moved on is looked at then. */
  #arm(): void {
    const due = this.#machine.pollTimeout();
    if (due === this.#timerAt || (due > this.#timerAt && due !== NEVER)) return;
    this.#disarm();
    if (due === NEVER) return;
    this.#timerAt = due;
    const ring = () => {
      this.#disarm();
      this.#handle("timeout");
    };
    // Longer delays than this overflow the timer's own number.
    this.#timer = setTimeout(ring, Math.min(Math.ceil(due - now().instant), 2 ** 31 - 1));
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timerAt = NEVER;
  }

  #open(token: string): void {
    const receiver: Receiver = {
      message: (text) => this.#handle("message", text),
      closed: (code, reason) => {
        this.#connection = undefined;
        this.#handle("closed", code, reason);
      },
    };
    if (!/^[\w.-]+$/.test(token)) {
      receiver.closed(4401, "it is not a JWT");
      return;
    }
    try {
      const { WebSocket } = globalThis as { WebSocket?: WebSocketConstructor };
      const implementation = this.#options.webSocket ?? WebSocket;
      if (!implementation) throw new TidingsError("connection_failed", "there is no WebSocket here");
      this.#connection = openWebSocket(implementation, this.#address, token, receiver);
    } catch (error) {
      receiver.closed(undefined, String(error));
    }
  }

  #ask(): void {
    const question = new AbortController();
    this.#question = question;
    const { signal } = question;
    const answer = (...input: Input) => {
      if (!signal.aborted) this.#handle(...input);
    };
    this.#getToken(signal).then(
      (token) => answer("token", token),
      (cause: unknown) => answer("tokenFailed", cause),
    );
  }

  async #getToken(signal: AbortSignal): Promise<string | null> {
    const { getToken, token } = this.#options;
    if (!getToken) {
      const given = this.#tokenGiven;
      this.#tokenGiven = true;
      return given ? null : (token ?? null);
    }
    return (await getToken({ signal })) || null;
  }

  #listen(): void {
    if (this.#surroundings && !this.#surroundings.signal.aborted) return;
    this.#surroundings = new AbortController();
    const options = { signal: this.#surroundings.signal };
    const { addEventListener, document, navigator } = globalThis as Surroundings;
    const handler = (type: "online" | "offline" | "visible") => () => this.#handle(type);
    addEventListener?.("online", handler("online"), options);
    addEventListener?.("offline", handler("offline"), options);
    // A page that comes out of the browser's cache had its connection cut.
    addEventListener?.("pageshow", handler("visible"), options);
    const show = () => {
      if (document?.visibilityState === "visible") this.#handle("visible");
    };
    document?.addEventListener("visibilitychange", show, options);
    this.#machine.handle(now(), navigator?.onLine === false ? "offline" : "online");
  }
}

/** What a browser has, a worker has in part, and Node has not. */
interface Surroundings {
  readonly addEventListener?: typeof addEventListener;
  readonly document?: Document;
  readonly navigator?: { readonly onLine?: boolean };
}

const NEVER = Number.POSITIVE_INFINITY;

function now(): Now {
  return { instant: performance.now(), unix: Date.now() };
}
