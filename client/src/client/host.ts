/**
 * The machine's thin shell: it gives it time, messages and what the browser says of network and page, and does what
 * it asks for. It decides nothing but over which transport to connect.
 */

import { TidingsError } from "../errors.ts";
import type { Position } from "../types.ts";
import { type Address, readAddress } from "./address.ts";
import type { ClientOptions, WebSocketConstructor } from "./api.ts";
import type { Input, Output } from "./io.ts";
import { Machine } from "./machine.ts";
import type { Now } from "./session.ts";
import { type Connection, openWebSocket, type Receiver } from "./transport.ts";

/** What the application's side of a client stands on: a machine here, or one that tabs share. */
export interface Backend {
  readonly position: Position | null;
  /** Takes what the application wants; what comes of it is told later, never from within this call. */
  post(input: Input): void;
}

/** What a backend tells the application's side. */
export type Told = Exclude<Output, { type: "getToken" | "open" | "send" | "close" }>;

export class Host implements Backend {
  readonly #options: ClientOptions;
  readonly #address: Address;
  readonly #tell: (told: Told) => void;
  readonly #machine = new Machine(Math.random);
  #connection: Connection | undefined;
  /** The question for a token that is open; aborted where its answer is not waited for any more. */
  #question: AbortController | undefined;
  /** Listens to the browser while the client is not stopped. */
  #surroundings: AbortController | undefined;
  /** A token that does not change is given once: asked again, it is not the one that is wanted. */
  #tokenGiven = false;
  #draining = false;
  #scheduled = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The instant that the timer is set to. */
  #timerAt = Number.POSITIVE_INFINITY;

  /** Throws where the options cannot be. */
  constructor(options: ClientOptions, tell: (told: Told) => void) {
    this.#options = options;
    this.#address = readAddress(options.url);
    this.#tell = tell;
  }

  get position(): Position | null {
    return this.#machine.position;
  }

  post(input: Input): void {
    if (input.type === "start") this.#listen();
    if (input.type === "token" || input.type === "logout") this.#drop();
    this.#machine.handle(now(), input);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#drain();
    });
  }

  /** Takes what happened outside. */
  #handle(input: Input): void {
    this.#machine.handle(now(), input);
    this.#drain();
  }

  /** Does what the machine asks for, until it asks for nothing. What happens meanwhile is done in the same turn. */
  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    for (let output = this.#machine.pollOutput(); output; output = this.#machine.pollOutput()) {
      this.#perform(output);
    }
    this.#draining = false;
    this.#arm();
  }

  #perform(output: Output): void {
    switch (output.type) {
      case "getToken":
        this.#ask();
        break;
      case "open":
        this.#open(output.token);
        break;
      case "send":
        this.#connection?.send(output.text);
        break;
      case "close":
        this.#connection?.close(output.code);
        this.#connection = undefined;
        break;
      default:
        if (output.type === "state" && output.state === "closed") this.#surroundings?.abort();
        this.#tell(output);
    }
  }

  /** Sets the timer, unless it rings early enough already: a deadline that has moved on is looked at then. */
  #arm(): void {
    const due = this.#machine.pollTimeout();
    if (due === undefined || due < this.#timerAt) this.#disarm();
    if (due === undefined || this.#timerAt <= due) return;
    this.#timerAt = due;
    // Longer delays than this overflow the timer's own number.
    const delay = Math.min(Math.ceil(due - now().instant), 2 ** 31 - 1);
    this.#timer = setTimeout(() => {
      this.#disarm();
      this.#handle({ type: "timeout" });
    }, delay);
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #open(token: string): void {
    const receiver: Receiver = {
      message: (text) => this.#handle({ type: "message", text }),
      closed: (code, reason) => {
        this.#connection = undefined;
        this.#handle({ type: "closed", code, reason });
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
    const answer = (input: Input) => {
      if (this.#question !== question) return;
      this.#question = undefined;
      this.#handle(input);
    };
    this.#getToken(question.signal).then(
      (token) => answer({ type: "token", token }),
      (cause: unknown) => answer({ type: "tokenFailed", cause }),
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

  /** The application has given a token by itself: an older answer must not replace it. */
  #drop(): void {
    this.#question?.abort();
    this.#question = undefined;
  }

  #listen(): void {
    if (this.#surroundings && !this.#surroundings.signal.aborted) return;
    this.#surroundings = new AbortController();
    const options = { signal: this.#surroundings.signal };
    const { addEventListener, document, navigator } = globalThis as Surroundings;
    const handler = (type: "online" | "offline" | "visible") => () => this.#handle({ type });
    addEventListener?.("online", handler("online"), options);
    addEventListener?.("offline", handler("offline"), options);
    // A page that comes out of the browser's cache had its connection cut.
    addEventListener?.("pageshow", handler("visible"), options);
    const show = () => {
      if (document?.visibilityState === "visible") this.#handle({ type: "visible" });
    };
    document?.addEventListener("visibilitychange", show, options);
    this.#machine.handle(now(), { type: navigator?.onLine === false ? "offline" : "online" });
  }
}

/** What a browser has, a worker has in part, and Node has not. */
interface Surroundings {
  readonly addEventListener?: typeof addEventListener;
  readonly document?: Document;
  readonly navigator?: { readonly onLine?: boolean };
}

function now(): Now {
  return { instant: performance.now(), unix: Date.now() };
}
