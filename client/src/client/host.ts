/**
 * The machine's thin shell: it gives it time, messages and what the browser says of network and page, and does what
 * it asks for. It decides nothing.
 */

import { TidingsError } from "../errors.ts";
import type { Sharing } from "../shared/sharing.ts";
import type { Position } from "../types.ts";
import type { Address } from "./address.ts";
import type { ClientOptions } from "./api.ts";
import { connector } from "./connector.ts";
import type { Handlers, Input, Now, Requests, Told } from "./io.ts";
import { Machine } from "./machine.ts";
import type { Connect, Connection, Receiver } from "./transport.ts";

/** Does the work of one client. */
export class Host {
  readonly #getToken: NonNullable<ClientOptions["getToken"]>;
  /** Whether the cookie that a browser sends by itself has to do: the application has never given a token. */
  #byCookie: boolean;
  /** The last token that stood for the cookie. */
  #blank = "";
  readonly #direct: Connect;
  /** What connects together with other tabs, where that is wanted and can be loaded. */
  #sharing: Promise<Sharing | undefined> | undefined;
  /** What is done about each output. */
  readonly #handlers: Handlers<Requests & Told>;
  readonly #machine = new Machine(Math.random);
  #connection: Connection | undefined;
  /** Of the connection that is held or being opened; nothing that comes of another is listened to. */
  #receiver: Receiver | undefined;
  /** The last question for a token; aborted where its answer is not waited for any more. */
  #question: AbortController | undefined;
  /** Listens to the browser while the client is not stopped. */
  #surroundings: AbortController | undefined;
  /** What publishes, once the application does. */
  #publishing: Promise<void> | undefined;
  /** Settled once inputs may be taken. */
  readonly #ready: Promise<void>;
  #draining = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ClientOptions, address: Address, told: Handlers<Told>) {
    const { token = null, getToken, shared, persist } = options;
    this.#byCookie = !getToken && !token && "location" in globalThis;
    this.#getToken = getToken ?? (() => this.#cookie());
    // A token that does not change is given once: asked again, it is not the one that is wanted.
    if (!getToken) this.#machine.handle(now(), "token", token);
    this.#direct = connector(address, options, () => import("./sse.ts"));
    if (shared) {
      const renew = () => {
        this.#handle("renew");
        return this.#machine.state === "connecting";
      };
      // Alone is better than not at all.
      this.#sharing = import("../shared/sharing.ts")
        .then(({ Sharing }) => new Sharing(address("http", "/"), options.transport, this.#direct, renew))
        .catch(() => undefined);
    }
    const name = persist === true ? address("ws", "/ws") : persist;
    // Where nothing can be kept, or was, the page begins at the end of the log.
    const keeping = name
      ? import("./persist.ts").then(({ keep }) => keep(this.#machine.subscriptions, name))
      : Promise.resolve();
    this.#ready = keeping.catch(() => {});
    this.#handlers = {
      ...told,
      getToken: () => this.#ask(),
      open: (token) => this.#open(token),
      send: (text) => this.#connection?.send(text),
      close: () => {
        this.#receiver = undefined;
        this.#connection?.close();
        this.#connection = undefined;
      },
    };
  }

  get position(): Position | null {
    return this.#machine.subscriptions.position;
  }

  /** Takes what the application wants; what comes of it is told later, never from within this call. */
  post(...input: Input): void {
    const [name, id] = input;
    if (name === "start") this.#surroundings ??= this.#listen();
    if (name === "setToken") {
      // An older answer must not replace what the application gives by itself.
      this.#question?.abort();
      this.#byCookie = false;
    }
    const isPublish = name === "publish" || name === "cancel";
    if (isPublish) {
      this.#publishing ??= import("./publishes.ts").then(({ Publishes, newId }) =>
        this.#machine.attach(Publishes, newId),
      );
    }
    // What is done in one turn, as by a component that mounts and unmounts, is all taken before any of it is told.
    (isPublish ? this.#publishing : this.#ready)
      ?.then(() => this.#machine.handle(now(), ...input))
      .then(
        () => this.#drain(),
        (cause: unknown) =>
          this.#handlers.error(
            new TidingsError("connection_failed", `Loading failed: ${cause}`),
            isPublish ? id : undefined,
          ),
      );
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
    const { state } = this.#machine;
    if (state === "closed") {
      this.#surroundings?.abort();
      this.#surroundings = undefined;
    }
    if (state === "closed" || state === "unauthorized") this.#sharing?.then((sharing) => sharing?.leave());
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const delay = Math.ceil(this.#machine.pollTimeout() - now().instant);
    // Longer delays than this overflow the timer's own number; where nothing is due, none is set.
    if (delay < Number.POSITIVE_INFINITY)
      this.#timer = setTimeout(() => this.#handle("timeout"), Math.min(delay, 2 ** 31 - 1));
  }

  async #open(token: string): Promise<void> {
    const receiver: Receiver = {
      message: (text) => {
        if (this.#receiver !== receiver) return;
        this.#handle("message", text);
      },
      closed: (code, reason) => {
        if (this.#receiver !== receiver) return;
        this.#receiver = undefined;
        this.#handle("closed", code, reason);
      },
    };
    this.#receiver = receiver;
    try {
      // Whose cookie it is no page can tell, so what goes by it is not shared.
      const connect = (token.trim() && (await this.#sharing)?.open) || this.#direct;
      const connection = await connect(token, receiver);
      if (this.#receiver === receiver) this.#connection = connection;
      else connection.close();
    } catch (error) {
      receiver.closed(undefined, `${error}`);
    }
  }

  /**
   * A token for what goes by cookie: a new one each time, since nobody sees whether the cookie is another. An open
   * connection has no use for it.
   */
  #cookie(): string | null {
    if (!this.#byCookie || this.#machine.state === "open") return null;
    this.#blank += " ";
    return this.#blank;
  }

  async #ask(): Promise<void> {
    this.#question = new AbortController();
    const { signal } = this.#question;
    let answer: Input;
    try {
      answer = ["token", await this.#getToken({ signal })];
    } catch (cause) {
      answer = ["tokenFailed", cause];
    }
    if (!signal.aborted) this.#handle(...answer);
  }

  /** Listens to what the browser says of network and page, until what is returned is aborted. */
  #listen(): AbortController {
    const surroundings = new AbortController();
    const { signal } = surroundings;
    const { document, navigator, addEventListener } = globalThis as Surroundings;
    for (const name of ["online", "offline"] as const)
      addEventListener?.(name, () => this.#handle(name), { signal });
    const look = () => {
      if (document?.visibilityState !== "hidden") this.#handle("visible");
    };
    document?.addEventListener("visibilitychange", look, { signal });
    this.#machine.handle(now(), navigator?.onLine === false ? "offline" : "online");
    return surroundings;
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
