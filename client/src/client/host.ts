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
  readonly #address: Address;
  readonly #getToken: NonNullable<ClientOptions["getToken"]>;
  readonly #webSocket: WebSocketConstructor | undefined;
  /** What is done about each output. */
  readonly #handlers: Handlers<Requests & Told>;
  readonly #machine = new Machine(Math.random);
  #connection: Connection | undefined;
  /** The last question for a token; aborted where its answer is not waited for any more. */
  #question: AbortController | undefined;
  /** Listens to the browser while the client is not stopped. */
  #surroundings: AbortController | undefined;
  /** What publishes, once the application does. */
  #publishing: Promise<void> | undefined;
  #draining = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Throws where the options cannot be. */
  constructor(options: ClientOptions, told: Handlers<Told>) {
    let { token = null } = options;
    // A token that does not change is given once: asked again, it is not the one that is wanted.
    const giveOnce = () => {
      const given = token;
      token = null;
      return given;
    };
    this.#address = readAddress(options.url);
    this.#getToken = options.getToken ?? giveOnce;
    this.#webSocket = options.webSocket ?? (globalThis as Surroundings).WebSocket;
    this.#handlers = {
      ...told,
      getToken: () => this.#ask(),
      open: (token) => this.#open(token),
      send: (text) => this.#connection?.send(text),
      close: () => {
        this.#connection?.close();
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
    if (input[0] === "publish" || input[0] === "cancel") {
      this.#publishing ??= import("./publishes.ts").then(({ Publishes }) => this.#machine.attach(Publishes));
      this.#publishing.then(
        () => this.#handle(...input),
        (cause) => {
          const error = new TidingsError("connection_failed", "What publishes could not be loaded", {
            cause,
          });
          this.#handlers.error(error, input[1]);
        },
      );
      return;
    }
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

  #arm(): void {
    clearTimeout(this.#timer);
    const delay = Math.ceil(this.#machine.pollTimeout() - now().instant);
    // Longer delays than this overflow the timer's own number; where nothing is due, none is set.
    if (delay < Number.POSITIVE_INFINITY)
      this.#timer = setTimeout(() => this.#handle("timeout"), Math.min(delay, 2 ** 31 - 1));
  }

  #open(token: string): void {
    const receiver: Receiver = {
      message: (text) => this.#handle("message", text),
      closed: (code, reason) => {
        this.#connection = undefined;
        this.#handle("closed", code, reason);
      },
    };
    try {
      if (!this.#webSocket) throw "there is no WebSocket here";
      this.#connection = openWebSocket(this.#webSocket, this.#address("ws", "/ws"), token, receiver);
    } catch (error) {
      receiver.closed(undefined, `${error}`);
    }
  }

  #ask(): void {
    this.#question = new AbortController();
    const { signal } = this.#question;
    const answer = (...input: Input) => {
      if (!signal.aborted) this.#handle(...input);
    };
    (async () => this.#getToken({ signal }))().then(
      (token) => answer("token", token),
      (cause: unknown) => answer("tokenFailed", cause),
    );
  }

  #listen(): void {
    this.#surroundings?.abort();
    this.#surroundings = new AbortController();
    const { signal } = this.#surroundings;
    const { document, navigator, addEventListener } = globalThis as Surroundings;
    const handler = (input: "online" | "offline" | "visible") => () => {
      if (document?.visibilityState !== "hidden" || input !== "visible") this.#handle(input);
    };
    addEventListener?.("online", handler("online"), { signal });
    addEventListener?.("offline", handler("offline"), { signal });
    document?.addEventListener("visibilitychange", handler("visible"), { signal });
    this.#machine.handle(now(), navigator?.onLine === false ? "offline" : "online");
  }
}

/** What a browser has, a worker has in part, and Node has not. */
interface Surroundings {
  readonly WebSocket?: WebSocketConstructor;
  readonly addEventListener?: typeof addEventListener;
  readonly document?: Document;
  readonly navigator?: { readonly onLine?: boolean };
}

function now(): Now {
  return { instant: performance.now(), unix: Date.now() };
}
