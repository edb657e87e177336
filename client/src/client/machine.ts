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
import type { Position } from "../types.ts";
import type { ClientState } from "./api.ts";
import {
  BAD_MESSAGES,
  closeError,
  DISCONNECTED,
  EXPIRED,
  isFault,
  NORMAL,
  SILENT,
  UNAUTHORIZED,
} from "./closes.ts";
import {
  BACKOFF_BASE,
  BACKOFF_CAP,
  BACKOFF_RESET,
  CONNECT_TIMEOUT,
  LEAVE_MAX,
  MESSAGE_INTERVAL,
  MESSAGES_BURST,
  PROBE_TIMEOUT,
  REFRESH_BLIND,
  REFRESH_LEAD,
  REFRESH_PAUSE,
  RESUME_TIMEOUT,
  RETRY_DELAY,
  TIMEOUT_MAX,
  TIMEOUT_MIN,
} from "./config.ts";
import type { Handlers, Input, Inputs, Now, Output } from "./io.ts";
import { BadMessage, PROTOCOL, parse, type ServerMessages } from "./messages.ts";
import { Publishes } from "./publishes.ts";
import { Subscriptions } from "./subscriptions.ts";

/**
 * Where the machine stands. `token` waits for a token; `wanting` wants a connection that the shell has not been asked
 * for; in `opening` the shell opens it, and `welcome` must come.
 */
type Phase = Exclude<ClientState, "connecting"> | "token" | "wanting" | "opening";

/** What time can bring: the next attempt; the end of the patience with a connection; what is due on one. */
type Alarm = "retry" | "opening" | "silence" | "probe" | "resume" | "leave" | "refresh" | "flush" | "pace";

/** One welcomed connection. */
interface Session {
  readonly epoch: string;
  readonly since: number;
  /** How long nothing may be heard. */
  readonly timeout: number;
  /** When the token in use expires, as the server said; seconds of Unix time. */
  expiresAt: number | undefined;
  /** A token that was sent in place of the one in use. */
  offered?: string | undefined;
  /** Failed attempts to get the next token. */
  refreshes: number;
  /** When all that was sent would have been sent at the long-run rate. */
  evenAt: number;
}

export class Machine {
  readonly #random: () => number;
  /** The clocks at the last input. */
  #now: Now = { instant: 0, unix: 0 };
  #phase: Phase = "idle";
  #online = true;
  /** The token of the connection that the shell holds, from `opening` on. */
  #used: string | undefined;
  /** There in `open`. */
  #session: Session | undefined;
  /** The instants at which time brings something. */
  #alarms: { [A in Alarm]?: number } = {};
  /** Failed attempts to connect. */
  #attempts = 0;
  /** The token that the next connection uses, whether the server has accepted it, and when it expires. */
  #token: string | undefined;
  #proven = false;
  #expiresAt: number | undefined;
  /** The token that a connection was last closed for, and the close code. */
  #spent: string | undefined;
  #spentBy: number | undefined;
  /** A token that the application gave unasked: it wants no other one. */
  #insisted: string | undefined;
  /** Whether an answer of the application is owed, or the question still waits to be polled. */
  #question: "none" | "due" | "asked" = "none";
  /** What the shell knows the state to be, and why it is so. */
  #told: ClientState = "idle";
  #error: TidingsError | null = null;
  readonly #outbox: Output[] = [];
  readonly #tell = (...output: Output): void => {
    this.#outbox.push(output);
  };
  readonly #subscriptions = new Subscriptions(this.#tell);
  readonly #publishes = new Publishes();

  readonly #inputs: Handlers<Inputs> = {
    start: () => this.#start(),
    stop: () => this.#stop(null),
    message: (text) => this.#message(text),
    closed: (code, reason) => this.#closed(code, reason),
    token: (token) => this.#answered(token),
    tokenFailed: (cause) => this.#tokenFailed(cause),
    setToken: (token) => this.#setToken(token),
    online: () => this.#goOnline(),
    offline: () => this.#goOffline(),
    visible: () => this.#visible(),
    timeout: () => this.#timeout(),
    subscribe: (wanted) =>
      this.#attempt("invalid_filter", { subscription: wanted.id }, () =>
        this.#subscriptions.subscribe(wanted),
      ),
    unsubscribe: (id) => this.#subscriptions.unsubscribe(id),
    publish: (id, event) =>
      this.#attempt("invalid_event", { publish: id }, () => this.#publishes.publish(id, event)),
    cancel: (id) => this.#publishes.cancel(id),
  };

  readonly #rings: Handlers<{ [A in Alarm]: [session: Session] }> = {
    retry: () => this.#connect(),
    opening: () => this.#giveUp("The server did not answer in time"),
    silence: () => this.#giveUp("The server was silent for too long"),
    probe: () => this.#giveUp("The server did not answer a ping"),
    resume: () => this.#giveUp("The server did not answer a resume"),
    leave: ({ since }) => this.#leaveAsAsked(since),
    refresh: () => this.#ask(),
    // Requests that were held back are polled after every input.
    flush: () => {},
    pace: () => {},
  };

  /** What each message does on a welcomed connection. */
  readonly #messages: Handlers<{
    [T in keyof ServerMessages]: [message: ServerMessages[T], session: Session];
  }> = {
    welcome: () => {
      throw new BadMessage("it comes once");
    },
    event: (message) => this.#subscriptions.event(message),
    heartbeat: (message) => this.#subscriptions.heartbeat(message),
    gap: (message) => this.#subscriptions.gap(message),
    subscribed: (message, { epoch }) => this.#subscriptions.subscribed(message, epoch),
    resumed: (message) => {
      this.#subscriptions.resumed(message);
      delete this.#alarms.resume;
    },
    authenticated: ({ expiresAt }, session) => this.#authenticated(session, expiresAt),
    published: ({ id, eventId, offset, duplicate }) => {
      const publish = this.#publishes.answered(id);
      if (publish) this.#tell("published", publish, { eventId, offset, duplicate });
    },
    reconnect: ({ after }) => {
      this.#alarms.leave ??= this.#now.instant + Math.min(after, LEAVE_MAX);
    },
    error: (message, session) => this.#refused(session, message),
  };

  /** A machine that is `idle`. `random` gives numbers from 0 to below 1, all equally likely. */
  constructor(random: () => number) {
    this.#random = random;
  }

  get state(): ClientState {
    const phase = this.#phase;
    return phase === "token" || phase === "wanting" || phase === "opening" ? "connecting" : phase;
  }

  /** Up to where everything has arrived; none without a subscription that has begun. */
  get position(): Position | null {
    return this.#subscriptions.position;
  }

  handle(now: Now, ...[name, ...args]: Input): void {
    this.#now = now;
    (this.#inputs[name] as (...args: unknown[]) => void)(...args);
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
    if (this.#question === "due") {
      this.#question = "asked";
      return ["getToken"];
    }
    if (this.#phase === "wanting" && this.#token) {
      this.#phase = "opening";
      this.#used = this.#token;
      this.#alarm("opening", CONNECT_TIMEOUT);
      return ["open", this.#token];
    }
    const request = this.#session && this.#request(this.#session);
    if (!request) return undefined;
    return ["send", typeof request === "string" ? request : JSON.stringify(request)];
  }

  /** When `timeout` is due at the latest; an instant, which never comes where nothing is. */
  pollTimeout(): number {
    return Math.min(...Object.values(this.#alarms));
  }

  /**
   * What is to be sent, made when it is asked for: so what is undone before was never said, and nothing piles up. It
   * is kept within what the server takes from one connection (PROTOCOL §7), so that an application in a hurry is
   * slowed down and not closed with 4429.
   */
  #request(session: Session): object | string | undefined {
    const now = this.#now.instant;
    const freeAt = session.evenAt - (MESSAGES_BURST - 1) * MESSAGE_INTERVAL;
    let request: object | string | undefined;
    if (this.#token && this.#token !== this.#used && !session.offered) {
      session.offered = this.#token;
      request = { type: "auth", id: "a", token: this.#token };
    } else if (now < freeAt) {
      this.#alarms.pace = freeAt;
    } else if (this.#alarms.flush === undefined) {
      const wanted = this.#subscriptions.next();
      if (wanted?.type === "resume") this.#alarm("resume", RESUME_TIMEOUT);
      request = wanted ?? this.#publishes.next();
    }
    if (request) session.evenAt = Math.max(session.evenAt, now) + MESSAGE_INTERVAL;
    return request;
  }

  /** Does what the application asks for, or tells why not. */
  #attempt(code: string, about: { subscription: string } | { publish: string }, act: () => void): void {
    try {
      act();
    } catch (cause) {
      this.#tell(
        "error",
        cause instanceof TidingsError ? cause : new TidingsError(code, `${cause}`, { cause }),
        about,
      );
    }
  }

  /** Has time bring something after `delay`. */
  #alarm(name: Alarm, delay: number): void {
    this.#alarms[name] = this.#now.instant + delay;
  }

  // When the client connects, lets go and waits (PROTOCOL §5 and §7)

  #start(): void {
    const phase = this.#phase;
    if (phase === "unauthorized") this.#token = undefined;
    if (phase === "idle" || phase === "closed" || phase === "unauthorized") this.#connect();
  }

  /** Enters `closed`, where nothing waits any more; with an error, for a fault that a reconnection would repeat. */
  #stop(error: TidingsError | null): void {
    this.#leave(NORMAL);
    this.#attempts = 0;
    this.#error = null;
    if (error) this.#fail(error);
    const stopped = error ?? new TidingsError("stopped", "The client was stopped before the answer came");
    for (const publish of this.#publishes.takeAll()) this.#tell("error", stopped, { publish });
    this.#phase = "closed";
  }

  #goOnline(): void {
    this.#online = true;
    if (this.#phase === "offline" || this.#phase === "waiting") {
      this.#attempts = 0;
      this.#connect();
    } else {
      // The network may be another one, and the connection dead without a word.
      this.#probe();
    }
  }

  #goOffline(): void {
    this.#online = false;
    if (this.#phase === "idle" || this.#phase === "closed" || this.#phase === "unauthorized") return;
    this.#leave(NORMAL);
    this.#phase = "offline";
  }

  /** The timers of a page that was hidden may be late by minutes, so what they would do is done at once. */
  #visible(): void {
    if (this.#phase === "waiting" || (this.#alarms.silence ?? this.#now.instant + 1) <= this.#now.instant) {
      this.#leave(SILENT);
      this.#connect();
    } else {
      this.#probe();
    }
  }

  /** Asks for a sign of life. */
  #probe(): void {
    if (!this.#session || this.#alarms.probe) return;
    this.#alarm("probe", PROBE_TIMEOUT);
    this.#tell("send", '{"type":"ping"}');
  }

  /**
   * Lets go of the connection, if there is one, with `code` unless it is closed already. The caller enters what
   * follows.
   */
  #leave(code?: number): void {
    if (code && this.#used) this.#tell("close", code);
    this.#used = undefined;
    if (this.#session && this.#session.since + BACKOFF_RESET <= this.#now.instant) this.#attempts = 0;
    this.#session = undefined;
    this.#alarms = {};
    // A question that nobody has heard is taken back.
    if (this.#question === "due") this.#question = "none";
    this.#subscriptions.disconnected();
    this.#publishes.disconnected();
  }

  /** Connects, with a token asked for first where the one at hand is none or has expired. */
  #connect(): void {
    this.#alarms = {};
    if (!this.#online) {
      this.#phase = "offline";
    } else if (this.#token && !((this.#expiresAt ?? Number.POSITIVE_INFINITY) * 1000 <= this.#now.unix)) {
      this.#phase = "wanting";
    } else {
      this.#ask();
      this.#phase = "token";
    }
  }

  /** Connects after the next delay: exponential, with full jitter. */
  #retry(error: TidingsError): void {
    this.#leave();
    this.#fail(error);
    this.#alarm("retry", this.#backoff(this.#attempts++));
    this.#phase = "waiting";
  }

  #backoff(attempts: number): number {
    return this.#random() * Math.min(BACKOFF_BASE * 2 ** attempts, BACKOFF_CAP);
  }

  /** Lets go of a connection that does not answer. */
  #giveUp(why: string): void {
    this.#leave(SILENT);
    this.#retry(new TidingsError("connection_failed", `${why}; trying again`));
  }

  /** The server has chosen the moment; only one that asks again and again meets the delays. */
  #leaveAsAsked(since: number): void {
    this.#leave(NORMAL);
    if (since + BACKOFF_RESET <= this.#now.instant) this.#connect();
    else this.#retry(new TidingsError("connection_failed", "The server asked to connect anew"));
  }

  /** Tells of an error that is about the client as a whole. */
  #fail(error: TidingsError): void {
    this.#error = error;
    this.#tell("error", error);
  }

  #unauthorized(error: TidingsError): void {
    this.#leave(NORMAL);
    this.#fail(error);
    this.#phase = "unauthorized";
  }

  #closed(code: number | undefined, reason: string | undefined): void {
    const used = this.#used;
    if (!used) return;
    this.#leave();
    const isCurrent = this.#token === used;
    if (code === UNAUTHORIZED || code === DISCONNECTED || code === EXPIRED) {
      this.#spent = used;
      this.#spentBy = code;
      if (isCurrent) this.#token = undefined;
    }
    const error = closeError(code, reason);
    // A token that was good once is asked for anew; one that was given just for this connection is not.
    const isFinal =
      code === DISCONNECTED ? !this.#token : code === UNAUTHORIZED && isCurrent && !this.#proven;
    if (isFault(code)) this.#stop(error);
    else if (isFinal) this.#unauthorized(error);
    else this.#retry(error);
  }

  #timeout(): void {
    for (const [name, at] of Object.entries(this.#alarms) as [Alarm, number][]) {
      // One before may have ended the connection, and this alarm with it.
      if (this.#now.instant < at || this.#alarms[name] !== at) continue;
      delete this.#alarms[name];
      this.#rings[name](this.#session as Session);
    }
  }

  // Tokens

  /** Asks for a token, unless an answer is owed already. */
  #ask(): void {
    if (this.#question === "none") this.#question = "due";
  }

  /** Takes the answer, or a token unasked. */
  #answered(token: string | null): void {
    const asked = this.#question !== "none";
    this.#question = "none";
    const phase = this.#phase;
    const isUsable = token && token !== this.#spent;
    if (isUsable && token !== this.#token) {
      this.#token = token;
      this.#proven = false;
      this.#expiresAt = undefined;
    }
    if (this.#session) {
      // Without a token, an open connection stays until its own expires.
      if (token && asked && this.#token === this.#used) this.#tokenFailed(undefined);
    } else if (!token) {
      this.#token = undefined;
      if (phase === "token" || phase === "wanting") this.#unauthorized(noToken());
    } else if (isUsable) {
      if (phase === "token" || phase === "unauthorized") this.#phase = this.#online ? "wanting" : "offline";
    } else if (phase === "token") {
      if (this.#spentBy === EXPIRED) this.#tokenFailed(undefined);
      else this.#phase = "unauthorized";
    }
  }

  #tokenFailed(cause: unknown): void {
    this.#question = "none";
    const error = new TidingsError("no_token", "`getToken` failed or gave an expired one; asking again", {
      cause,
    });
    if (this.#session) this.#refreshLater(this.#session, error);
    else if (this.#phase === "token") this.#retry(error);
  }

  #setToken(token: string | null): void {
    const phase = this.#phase;
    if (token) {
      this.#insisted = token;
      this.#answered(token);
      return;
    }
    this.#question = "none";
    this.#token = undefined;
    if (phase !== "idle" && phase !== "closed" && phase !== "unauthorized") this.#unauthorized(noToken());
  }

  /** The server has accepted the token in use: the next one is asked for some time before it expires. */
  #accepted(expiresAt: number | undefined): void {
    this.#spent = undefined;
    if (this.#token === this.#used) {
      this.#proven = true;
      this.#expiresAt = expiresAt;
    }
    delete this.#alarms.refresh;
    if (expiresAt === undefined) return;
    const left = expiresAt * 1000 - this.#now.unix;
    // Where the clock here holds for expired what the server has just accepted, it says nothing.
    this.#alarm(
      "refresh",
      left < 0 ? REFRESH_BLIND : Math.max(1000, left - Math.min(REFRESH_LEAD, left / 5)),
    );
  }

  #authenticated(session: Session, expiresAt: number | undefined): void {
    if (!session.offered) return;
    this.#used = session.offered;
    session.offered = undefined;
    session.expiresAt = expiresAt;
    session.refreshes = 0;
    this.#accepted(expiresAt);
  }

  /** The server refuses a token that was offered in place of the one in use. */
  #authRefused(session: Session, error: TidingsError): void {
    const { offered, expiresAt } = session;
    session.offered = undefined;
    if (offered === this.#insisted) {
      // As of another user: this one is not to be acted for any more.
      this.#leave(NORMAL);
      this.#connect();
    } else {
      if (this.#token === offered) {
        this.#token = this.#used;
        this.#proven = true;
        this.#expiresAt = expiresAt;
      }
      this.#refreshLater(session, error);
    }
  }

  /** Asks for the next token after a pause that grows. */
  #refreshLater(session: Session, error: TidingsError): void {
    this.#alarm("refresh", REFRESH_PAUSE + this.#backoff(session.refreshes++));
    this.#tell("error", error);
  }

  // What a message of the server does (PROTOCOL §2–5)

  #message(text: string): void {
    const session = this.#session;
    if (session) {
      this.#alarm("silence", session.timeout);
      delete this.#alarms.probe;
    }
    try {
      const message = parse(text);
      if (session) {
        if (message)
          (this.#messages[message.type] as (message: unknown, session: Session) => void)(message, session);
      } else if (this.#used) {
        if (message?.type !== "welcome") throw new BadMessage("welcome comes first");
        this.#welcome(message);
      }
    } catch (cause) {
      if (!(cause instanceof BadMessage)) throw cause;
      this.#leave(BAD_MESSAGES);
      const words = `A message of the server is wrong (${cause.message}); trying again`;
      this.#retry(new TidingsError("protocol", words, { details: text.slice(0, 256) }));
    }
  }

  #welcome({ protocol, epoch, heartbeat, expiresAt }: ServerMessages["welcome"]): void {
    if (protocol !== PROTOCOL) {
      const words = `The server speaks protocol ${protocol}, not ${PROTOCOL}; update this client`;
      this.#stop(new TidingsError("protocol", words));
      return;
    }
    const timeout = Math.min(Math.max(heartbeat.timeout, TIMEOUT_MIN), TIMEOUT_MAX);
    this.#session = { epoch, since: this.#now.instant, timeout, expiresAt, refreshes: 0, evenAt: 0 };
    this.#alarms = {};
    this.#alarm("silence", timeout);
    this.#accepted(expiresAt);
    this.#error = null;
    this.#phase = "open";
  }

  #refused(session: Session, fault: ServerMessages["error"]): void {
    const { id = "", code, message = "", details } = fault;
    const kind = id[0];
    const error = new TidingsError(code, message, { details });
    const isPassing = ["rate_limited", "unavailable", "internal"].includes(code);
    if (kind === "s" && !isPassing) {
      this.#subscriptions.refused(id, fault);
    } else if (kind === "p" && !isPassing) {
      const publish = this.#publishes.answered(id);
      if (publish) this.#tell("error", error, { publish });
    } else if (kind === "s" || kind === "p") {
      (kind === "s" ? this.#subscriptions : this.#publishes).defer(id);
      // A server that could not keep up would refuse more, too, and ten refusals close the connection.
      this.#alarms.flush ??= this.#now.instant + RETRY_DELAY * (1 + this.#random());
    } else if (kind === "r") {
      this.#leave(NORMAL);
      this.#retry(error);
    } else if (kind === "a") {
      this.#authRefused(session, error);
    } else {
      this.#tell("error", error);
    }
  }
}

function noToken(): TidingsError {
  return new TidingsError(
    "unauthorized",
    "There is no token; sign in, and give it by `setToken` or `getToken`",
  );
}
