/**
 * The client as a machine: connecting, backoff, tokens, resume, subscriptions, publishing, with the states and rules
 * of the core's own client. It knows no sockets, timers, clocks or randomness: inputs and time go in, outputs and a
 * deadline come out.
 *
 * It keeps the protocol's promise to the application: every subscription sees each matching event above its
 * beginning once, in the order of its lane, or is told of a gap. Of connections there is one at a time, and none is
 * opened without a network. Outputs are polled after every input, so they need no bound.
 */

import { TidingsError } from "../errors.ts";
import type { ClientState } from "./api.ts";
import {
  BACKOFF_BASE,
  BACKOFF_CAP,
  BACKOFF_RESET,
  CONNECT_TIMEOUT,
  PROBE_TIMEOUT,
  REFRESH_BLIND,
  REFRESH_LEAD,
  REFRESH_PAUSE,
  RETRY_DELAY,
} from "./config.ts";
import type { Handlers, Input, Inputs, Now, Output } from "./io.ts";
import {
  PROTOCOL,
  parse,
  type Receivers,
  type ServerMessage,
  type ServerMessages,
  whole,
  wrong,
} from "./messages.ts";
import type { Publishes } from "./publishes.ts";
import { Subscriptions } from "./subscriptions.ts";

/** The close codes that the client acts on, by their meaning (PROTOCOL §7). */
const BAD_MESSAGES = 4400;
const UNAUTHORIZED = 4401;
const DISCONNECTED = 4403;
const EXPIRED = 4419;
/** A reconnection would only repeat them. */
const FAULTS = [1002, 1003, 1007, 1009, BAD_MESSAGES];

const NEVER = Number.POSITIVE_INFINITY;

/** Where the machine stands. `token` waits for a token; in `opening` the shell opens, and `welcome` must come. */
type Phase = Exclude<ClientState, "connecting"> | "token" | "opening";

/** What time can bring: the end of the patience with a connection, the next attempt, or what is due on a connection. */
type Alarm = "silence" | "retry" | "leave" | "refresh" | "flush";

export class Machine {
  readonly #random: () => number;
  /** The clocks at the last input. */
  #now: Now = { instant: 0, unix: 0 };
  #phase: Phase = "idle";
  #online = true;
  /** The instants at which time brings something. */
  #alarms: { [A in Alarm]?: number } = {};
  /** Failed attempts to connect, and to get the next token while one is in use. */
  #attempts = 0;
  #refreshes = 0;

  /** The token that the next connection uses. */
  #token: string | undefined;
  /** The token that the server accepted last, and until when in Unix time. */
  #good: string | undefined;
  #goodUntil = NEVER;
  /** The token that a connection was last closed for, and the close code. */
  #spent: string | undefined;
  #spentBy = 0;
  /** What the application gave unasked: it wants no other. */
  #insisted: string | null = null;
  /** Whether an answer of the application is owed. */
  #asked = false;

  /** The token of the connection that the shell holds, from `opening` on. */
  #used: string | undefined;
  /** One that was sent in its place. */
  #offered: string | undefined;
  /** Of a connection that is open: since when it is, and how long it may be silent. */
  #since = NEVER;
  #timeout = 0;

  /** What the shell knows the state to be, and why it is so. */
  #told: ClientState = "idle";
  #error: TidingsError | null = null;
  readonly #outbox: Output[] = [];
  readonly #tell = (...output: Output): void => {
    this.#outbox.push(output);
  };
  readonly subscriptions = new Subscriptions(this.#tell);
  /** There once the application publishes. */
  #publishes: Publishes | undefined;

  readonly #inputs: Handlers<Omit<Inputs, "publish" | "cancel">> = {
    start: () => {
      if (!this.#isAtRest) return;
      if (this.#phase === "unauthorized") this.#token = undefined;
      this.#connect();
    },
    stop: () => this.#stop(null),
    message: (text) => {
      try {
        this.#message(parse(text));
      } catch (cause) {
        this.#retry(new TidingsError("protocol", `Against the protocol: ${text.slice(0, 99)}`, { cause }));
      }
    },
    closed: (code = 1006, reason = "") => {
      if (this.#used) this.#closed(code, reason, this.#used);
    },
    token: (token) => this.#answered(token),
    tokenFailed: (cause) => this.#tokenFailed(cause),
    setToken: (token) => {
      this.#insisted = token;
      if (token || this.#isAtRest) this.#answered(token);
      else this.#unauthorized();
    },
    online: () => {
      this.#online = true;
      this.#attempts = 0;
      this.#wake();
    },
    offline: () => {
      this.#online = false;
      if (!this.#isAtRest) this.#leave("offline");
    },
    visible: () => this.#wake(),
    renew: () => {
      if (!this.#isAtRest) this.#connect();
    },
    timeout: () => {
      for (const [name, at] of Object.entries(this.#alarms) as [Alarm, number][]) {
        // One before may have ended the connection, and this alarm with it.
        if (this.#now.instant < at || this.#alarms[name] !== at) continue;
        delete this.#alarms[name];
        this.#rings[name]?.();
      }
    },
    subscribe: (wanted) => this.subscriptions.subscribe(wanted),
    unsubscribe: (id) => this.subscriptions.unsubscribe(id),
  };

  /** What time brings. Requests that were held back are polled after every input. */
  readonly #rings: { readonly [A in Alarm]?: () => void } = {
    silence: () => this.#giveUp("does not answer"),
    retry: () => this.#connect(),
    // The server has chosen the moment; only one that asks again and again meets the delays.
    leave: () => {
      if (this.#isSettled) this.#connect();
      else this.#giveUp("asked to connect anew");
    },
    refresh: () => this.#ask(),
  };

  /** What each message does on a welcomed connection. */
  readonly #messages: Receivers<Exclude<keyof ServerMessages, "published">> = {
    ...this.subscriptions.messages,
    welcome: wrong,
    authenticated: ({ expiresAt }) => {
      if (!this.#offered) return;
      this.#used = this.#offered;
      this.#offered = undefined;
      this.#accepted(expiresAt);
    },
    reconnect: ({ after }) => {
      this.#alarms.leave ??= this.#now.instant + whole(after);
    },
    error: ({ id = "", code, message = "", details }) =>
      this.#refused(id, new TidingsError(code, message, { details })),
  };

  /** A machine that is `idle`. `random` gives numbers from 0 to below 1, all equally likely. */
  constructor(random: () => number) {
    this.#random = random;
  }

  get state(): ClientState {
    const phase = this.#phase;
    return phase === "token" || phase === "opening" ? "connecting" : phase;
  }

  /** Gives it what publishes, and ids for events; `publish` and `cancel` come after. */
  attach(Publisher: typeof Publishes, newId: () => string): void {
    const hold = (until: number) => {
      this.#alarms.flush = until;
    };
    this.#publishes = new Publisher(this.#tell, hold, newId, () => this.#phase === "closed");
    Object.assign(this.#inputs, this.#publishes.inputs);
    Object.assign(this.#messages, this.#publishes.messages);
  }

  handle(now: Now, ...[name, ...args]: Input): void {
    this.#now = now;
    (this.#inputs as Readonly<Record<string, (...args: unknown[]) => void>>)[name]?.(...args);
  }

  /** The next thing for the shell or the application; none when they have all. */
  pollOutput(): Output | undefined {
    const output = this.#outbox.shift();
    if (output) return output;
    const { state } = this;
    if (this.#told !== state) {
      this.#told = state;
      return ["state", state, this.#error];
    }
    const request = this.#phase === "open" && this.#request();
    return request ? ["send", JSON.stringify(request)] : undefined;
  }

  /** When `timeout` is due at the latest; an instant, which never comes where nothing is. */
  pollTimeout(): number {
    return Math.min(...Object.values(this.#alarms));
  }

  /** What is to be sent, made when it is asked for: so what is undone before was never said, and nothing piles up. */
  #request(): object | undefined {
    if (this.#token !== this.#used && !this.#offered) {
      this.#offered = this.#token;
      return { type: "auth", id: "a", token: this.#token };
    }
    // A server that could not keep up would refuse more, too, and ten refusals close the connection.
    if (this.#alarms.flush) return undefined;
    return this.subscriptions.next() ?? this.#publishes?.next(this.#now.instant);
  }

  /** Has time bring something after `delay`. */
  #alarm(name: Alarm, delay: number): void {
    this.#alarms[name] = this.#now.instant + delay;
  }

  // When the client connects, lets go and waits (PROTOCOL §5 and §7)

  /** Whether nothing is to be done about the connection. */
  get #isAtRest(): boolean {
    return ["idle", "closed", "unauthorized"].includes(this.#phase);
  }

  /** Whether the connection has been open for so long that the delays begin anew. */
  get #isSettled(): boolean {
    return this.#since + BACKOFF_RESET <= this.#now.instant;
  }

  /**
   * There is a network, or the page has become visible: what timers would do is done at once, as they may be late by
   * minutes, and a connection that may be dead without a word is asked for a sign of life.
   */
  #wake(): void {
    const left = (this.#alarms.silence ?? NEVER) - this.#now.instant;
    if (this.#phase === "offline" || this.#phase === "waiting" || left <= 0) {
      this.#connect();
    } else if (this.#phase === "open" && PROBE_TIMEOUT < left) {
      this.#alarm("silence", PROBE_TIMEOUT);
      this.#tell("send", '{"type":"ping"}');
    }
  }

  /** Lets go of the connection, if there is one, and of everything that waits for time. */
  #leave(phase: Phase): void {
    if (this.#used) this.#tell("close");
    if (this.#isSettled) this.#attempts = 0;
    this.#used = undefined;
    this.#offered = undefined;
    this.#since = NEVER;
    this.#alarms = {};
    this.subscriptions.disconnected();
    this.#publishes?.disconnected();
    this.#phase = phase;
  }

  /** Connects, with a token asked for first where the one at hand is none or has expired. */
  #connect(): void {
    this.#leave("offline");
    if (!this.#online) return;
    if (this.#token && (this.#token !== this.#good || this.#now.unix < this.#goodUntil)) {
      this.#used = this.#token;
      this.#tell("open", this.#used);
      this.#alarm("silence", CONNECT_TIMEOUT);
      this.#phase = "opening";
    } else {
      this.#ask();
      this.#phase = "token";
    }
  }

  /** Connects after the next delay: exponential, with full jitter. */
  #retry(error: TidingsError): void {
    this.#leave("waiting");
    this.#fail(error);
    this.#alarm("retry", this.#backoff(this.#attempts++));
  }

  #backoff(attempts: number): number {
    return this.#random() * Math.min(BACKOFF_BASE * 2 ** attempts, BACKOFF_CAP);
  }

  /** Lets go of a connection that is good no longer. */
  #giveUp(why: string): void {
    this.#retry(new TidingsError("connection_failed", `The server ${why}; trying again`));
  }

  /** Tells of an error that is about the client as a whole. */
  #fail(error: TidingsError): void {
    this.#error = error;
    this.#tell("error", error);
  }

  /** Enters `closed`, where nothing waits any more; with an error, for a fault that a reconnection would repeat. */
  #stop(error: TidingsError | null): void {
    this.#leave("closed");
    this.#attempts = 0;
    this.#error = null;
    if (error) this.#fail(error);
    this.#publishes?.stop(error ?? new TidingsError("stopped", "The client was stopped"));
  }

  #unauthorized(
    error = new TidingsError("unauthorized", "No token: give one by `setToken` or `getToken`"),
  ): void {
    this.#asked = false;
    this.#token = undefined;
    this.#leave("unauthorized");
    this.#fail(error);
  }

  #closed(code: number, reason: string, used: string): void {
    this.#used = undefined;
    const isCurrent = this.#token === used;
    if ([UNAUTHORIZED, DISCONNECTED, EXPIRED].includes(code)) {
      this.#spent = used;
      this.#spentBy = code;
      if (isCurrent) this.#token = undefined;
    }
    const failed = (kind: string, hint: string) =>
      new TidingsError(kind, `Closed with ${code}${reason && ` (${reason})`}: ${hint}`);
    if (FAULTS.includes(code)) {
      this.#stop(failed("protocol", "a fault of this client; update tidings, or send less"));
    } else if (code === DISCONNECTED && !this.#token) {
      this.#unauthorized(failed("disconnected", "by an operator; sign in again, and give the new token"));
    } else if (code === UNAUTHORIZED && isCurrent && used !== this.#good) {
      // There is no reason to ask: the application has given this token just for the connection that failed.
      this.#unauthorized(failed("unauthorized", "give another token"));
    } else if (this.#spent === used) {
      this.#retry(failed("unauthorized", "asking for another token"));
    } else {
      this.#retry(
        failed("connection_failed", "trying again; does the server run there and allow this origin?"),
      );
    }
  }

  // Tokens

  /** Asks for a token, unless an answer is owed already. */
  #ask(): void {
    if (!this.#asked) this.#tell("getToken");
    this.#asked = true;
  }

  /** Takes the answer, or a token unasked. */
  #answered(token: string | null): void {
    const asked = this.#asked;
    const phase = this.#phase;
    this.#asked = false;
    if (token && token !== this.#spent) {
      this.#token = token;
      if (phase === "token" || phase === "unauthorized") this.#connect();
      else if (phase === "open" && asked && token === this.#used) this.#tokenFailed();
    } else if (phase !== "open") {
      // Without a token, a connection that is open stays until its own expires.
      if (!token) this.#token = undefined;
      if (phase !== "token") return;
      if (!token) this.#unauthorized();
      else if (this.#spentBy === EXPIRED) this.#tokenFailed();
      else this.#phase = "unauthorized";
    }
  }

  #tokenFailed(cause?: unknown): void {
    this.#asked = false;
    const error = new TidingsError(
      "no_token",
      "`getToken` failed, or gave a token that has expired; asking again",
      { cause },
    );
    if (this.#phase === "open") this.#refreshLater(error);
    else if (this.#phase === "token") this.#retry(error);
  }

  /** The server has accepted the token in use: the next one is asked for some time before it expires. */
  #accepted(expiresAt: number | undefined): void {
    const until = expiresAt === undefined ? NEVER : whole(expiresAt) * 1000;
    const left = until - this.#now.unix;
    this.#spent = undefined;
    this.#good = this.#used;
    this.#goodUntil = until;
    this.#refreshes = 0;
    // Where the clock here holds for expired what the server has just accepted, it says nothing.
    this.#alarm(
      "refresh",
      left < 0 ? REFRESH_BLIND : Math.max(REFRESH_PAUSE, left - Math.min(REFRESH_LEAD, left / 5)),
    );
  }

  /** The server refuses a token that was offered in place of the one in use. */
  #authRefused(error: TidingsError): void {
    const offered = this.#offered;
    this.#offered = undefined;
    if (offered === this.#insisted) {
      // As of another user: the one in use is not to be acted for any more.
      this.#connect();
    } else {
      if (this.#token === offered) this.#token = this.#used;
      this.#refreshLater(error);
    }
  }

  /** Asks for the next token after a pause that grows. */
  #refreshLater(error: TidingsError): void {
    this.#alarm("refresh", REFRESH_PAUSE + this.#backoff(this.#refreshes++));
    this.#tell("error", error);
  }

  // What a message of the server does (PROTOCOL §2–5)

  #message(message: ServerMessage): void {
    if (this.#phase === "open") {
      (this.#messages as Readonly<Record<string, (message: unknown) => void>>)[message.type]?.(message);
      // One that never answers a resume is given up like one that says nothing.
      if (this.subscriptions.follows) this.#alarm("silence", this.#timeout);
    } else if (this.#used) {
      if (message.type !== "welcome") wrong();
      this.#welcome(message);
    }
  }

  #welcome({ protocol, epoch, heartbeat, expiresAt }: ServerMessages["welcome"]): void {
    if (protocol !== PROTOCOL) {
      this.#stop(
        new TidingsError(
          "protocol",
          `The server speaks protocol ${protocol}, this client ${PROTOCOL}: update tidings`,
        ),
      );
      return;
    }
    this.subscriptions.connected(epoch);
    this.#since = this.#now.instant;
    this.#timeout = whole(heartbeat.timeout);
    this.#alarms = {};
    this.#alarm("silence", this.#timeout);
    this.#accepted(expiresAt);
    this.#error = null;
    this.#phase = "open";
  }

  #refused(id: string, error: TidingsError): void {
    const part = id[0] === "s" ? this.subscriptions : id[0] === "p" ? this.#publishes : undefined;
    if (part && ["rate_limited", "unavailable", "internal"].includes(error.code)) {
      part.defer(id);
      this.#alarms.flush ??= this.#now.instant + RETRY_DELAY * (1 + this.#random());
    } else if (part) {
      part.refused(id, error);
    } else if (id === "r") {
      this.#retry(error);
    } else if (id === "a") {
      this.#authRefused(error);
    } else {
      this.#tell("error", error);
    }
  }
}
