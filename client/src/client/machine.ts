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
import type { ClientState, PublishedEvent } from "./api.ts";
import {
  BAD_MESSAGES,
  closeError,
  DISCONNECTED,
  EXPIRED,
  givenUp,
  isFault,
  NORMAL,
  SILENT,
  UNAUTHORIZED,
} from "./closes.ts";
import {
  BACKOFF_RESET,
  CONNECT_TIMEOUT,
  LEAVE_MAX,
  PROBE_TIMEOUT,
  REFRESH_PAUSE,
  RESUME_TIMEOUT,
  RETRY_DELAY,
} from "./config.ts";
import { Feed } from "./feed.ts";
import type { Input, Output } from "./io.ts";
import {
  BadMessage,
  type Fault,
  PROTOCOL,
  parse,
  type ResumedMessage,
  type ServerMessage,
} from "./messages.ts";
import { Publishes } from "./publishes.ts";
import {
  Backoff,
  isDead,
  type Now,
  newSession,
  type Random,
  type Session,
  sessionDeadline,
} from "./session.ts";
import { Credentials, Refresh } from "./token.ts";

/** Where the machine stands. Of a connection there is one at most, by construction. */
type Phase =
  /** `token` waits for a token; `wanting` wants a connection that the shell has not been asked for. */
  | { readonly name: "idle" | "closed" | "offline" | "unauthorized" | "token" | "wanting" }
  | { readonly name: "waiting"; readonly until: number }
  /** The shell opens a connection with `token`; `welcome` must come. */
  | { readonly name: "opening"; readonly token: string; readonly by: number }
  | { readonly name: "open"; readonly session: Session };

type Receivers = {
  readonly [T in ServerMessage["type"]]: (
    message: Extract<ServerMessage, { type: T }>,
    session: Session,
  ) => void;
};

export class Machine {
  readonly #random: Random;
  /** The clocks at the last input. */
  #now: Now = { instant: 0, unix: 0 };
  #phase: Phase = { name: "idle" };
  #online = true;
  /** The code to close the last connection with, until it has been polled. */
  #close: number | undefined;
  /** What the shell knows the state to be, and why it is so. */
  #told: ClientState = "idle";
  #error: TidingsError | null = null;
  #nextRequest = 0;
  readonly #outbox: Output[] = [];
  readonly #backoff = new Backoff();
  readonly #credentials = new Credentials();
  readonly #feed = new Feed((output) => this.#outbox.push(output));
  readonly #publishes = new Publishes();

  /** What each input does. */
  readonly #handlers: { readonly [T in Input["type"]]: (input: Extract<Input, { type: T }>) => void } = {
    start: () => this.#start(),
    stop: () => this.#stop(),
    message: ({ text }) => this.#message(text),
    closed: ({ code, reason }) => this.#closed(code, reason ?? ""),
    token: ({ token }) => this.#token(token),
    tokenFailed: ({ cause }) => this.#tokenFailed(cause),
    logout: () => this.#logout(),
    online: () => this.#goOnline(),
    offline: () => this.#goOffline(),
    visible: () => this.#visible(),
    timeout: () => this.#timeout(),
    subscribe: (wanted) => this.#feed.subscribe(wanted),
    unsubscribe: ({ id }) => this.#feed.subscriptions.unsubscribe(id),
    publish: ({ id, event }) => this.#publish(id, event),
    cancel: ({ id }) => this.#publishes.cancel(id),
  };

  /** What each message does that may come after the first. */
  readonly #receivers: Receivers = {
    newer: () => comesOnce(),
    welcome: () => comesOnce(),
    event: (message) => this.#feed.event(message),
    heartbeat: ({ lanes }) => this.#feed.heartbeat(lanes),
    gap: ({ gap }) => this.#feed.gap(gap),
    subscribed: (message, { epoch }) => this.#feed.subscribed(message, epoch),
    resumed: (message, session) => this.#resumed(message, session),
    unsubscribed: ({ id }) => this.#feed.subscriptions.unsubscribed(id),
    authenticated: ({ expires }, session) => this.#authenticated(session, expires),
    published: ({ id, result }) => this.#published(id, result),
    reconnect: ({ after }, session) => this.#asked(after, session),
    error: ({ id, fault }, session) => this.#refused(session, id, fault),
    other: () => {},
  };

  /** A machine that is `idle`. */
  constructor(random: Random) {
    this.#random = random;
  }

  get state(): ClientState {
    const { name } = this.#phase;
    return name === "token" || name === "wanting" || name === "opening" ? "connecting" : name;
  }

  /** Up to where everything has arrived; none without a subscription that has begun. */
  get position(): Position | null {
    return this.#feed.position ?? null;
  }

  handle(now: Now, input: Input): void {
    this.#now = now;
    (this.#handlers[input.type] as (input: Input) => void)(input);
  }

  /** The next thing for the shell or the application; none when they have all. */
  pollOutput(): Output | undefined {
    if (this.#close !== undefined) {
      const code = this.#close;
      this.#close = undefined;
      return { type: "close", code };
    }
    const output = this.#outbox.shift();
    if (output) return output;
    if (this.#told !== this.state) {
      this.#told = this.state;
      return { type: "state", state: this.#told, error: this.#error };
    }
    if (this.#credentials.takeQuestion()) return { type: "getToken" };
    const token = this.#credentials.current;
    if (this.#phase.name === "wanting" && token !== undefined) {
      this.#phase = { name: "opening", token, by: this.#now.instant + CONNECT_TIMEOUT };
      return { type: "open", token };
    }
    const session = this.#session;
    const request = session && this.#request(session);
    if (!request) return undefined;
    session.pace.count(this.#now.instant);
    return { type: "send", text: typeof request === "string" ? request : JSON.stringify(request) };
  }

  /** When `timeout` is due at the latest; an instant. */
  pollTimeout(): number | undefined {
    const phase = this.#phase;
    switch (phase.name) {
      case "waiting":
        return phase.until;
      case "opening":
        return phase.by;
      case "open":
        return sessionDeadline(phase.session, this.#now);
      default:
        return undefined;
    }
  }

  get #session(): Session | undefined {
    return this.#phase.name === "open" ? this.#phase.session : undefined;
  }

  /**
   * What is to be sent, made when it is asked for: so what is undone before was never said, and nothing piles up.
   */
  #request(session: Session): object | string | undefined {
    if (this.#feed.isDue) {
      const request = this.#feed.resume(`r${this.#nextRequest++}`);
      if (request) {
        session.resumeBy = this.#now.instant + RESUME_TIMEOUT;
        return request;
      }
    }
    const token = this.#credentials.current;
    if (token !== undefined && token !== session.token && !session.auth) {
      session.auth = { id: `a${this.#nextRequest++}`, token };
      return { type: "auth", ...session.auth };
    }
    if (session.pingDue) {
      session.pingDue = false;
      return { type: "ping" };
    }
    // What has a deadline of its own has gone; what the application asks for may be too much at once.
    const freeAt = session.pace.freeAt();
    session.heldUntil = this.#now.instant < freeAt ? freeAt : undefined;
    // A server that could not keep up would refuse more, too, and ten refusals close the connection.
    if (session.heldUntil !== undefined || session.flushAt !== undefined) return undefined;
    return (
      this.#feed.subscriptions.nextUnsubscribe() ??
      (this.#feed.follows ? this.#feed.subscriptions.nextSubscribe() : undefined) ??
      this.#publishes.nextMessage()
    );
  }

  // When the client connects, lets go and waits (PROTOCOL §5 and §7)

  #start(): void {
    const { name } = this.#phase;
    if (name === "unauthorized") this.#credentials.forget();
    if (name === "idle" || name === "closed" || name === "unauthorized") this.#connect();
  }

  #stop(): void {
    this.#leave(NORMAL);
    this.#shut(null);
  }

  #publish(id: string, event: unknown): void {
    const error = this.#publishes.publish(id, event);
    if (error) this.#outbox.push({ type: "error", publish: id, error });
  }

  /** Enters `closed`, where nothing waits any more. */
  #shut(error: TidingsError | null): void {
    this.#credentials.cancel();
    this.#backoff.reset();
    const stopped = error ?? new TidingsError("stopped", "The client was stopped before the answer came.");
    for (const publish of this.#publishes.takeAll())
      this.#outbox.push({ type: "error", publish, error: stopped });
    this.#error = error;
    this.#phase = { name: "closed" };
  }

  /** Stops for a fault that a reconnection would repeat. */
  #stopFor(error: TidingsError): void {
    this.#fail(error);
    this.#shut(error);
  }

  #goOnline(): void {
    this.#online = true;
    const { name } = this.#phase;
    if (name === "offline" || name === "waiting") {
      this.#backoff.reset();
      this.#connect();
    } else {
      // The network may be another one, and the connection dead without a word.
      this.#probe();
    }
  }

  #goOffline(): void {
    this.#online = false;
    const { name } = this.#phase;
    if (name === "idle" || name === "closed" || name === "unauthorized" || name === "offline") return;
    this.#leave(NORMAL);
    this.#credentials.cancel();
    this.#error = null;
    this.#phase = { name: "offline" };
  }

  /** The timers of a page that was hidden may be late by minutes, so what they would do is done at once. */
  #visible(): void {
    const session = this.#session;
    if (this.#phase.name === "waiting" || (session && isDead(session, this.#now.instant))) {
      this.#leave(SILENT);
      this.#connect();
    } else {
      this.#probe();
    }
  }

  /** Asks for a sign of life. */
  #probe(): void {
    const session = this.#session;
    if (!session || session.probeBy !== undefined) return;
    session.probeBy = this.#now.instant + PROBE_TIMEOUT;
    session.pingDue = true;
  }

  /**
   * Lets go of the connection, if there is one, with `code` unless it is closed already: the token that it had. The
   * caller enters what follows.
   */
  #leave(code: number | undefined): string | undefined {
    const phase = this.#phase;
    const held = phase.name === "opening" ? phase : this.#session;
    if (held) this.#close = code;
    if (phase.name === "open" && phase.session.since + BACKOFF_RESET <= this.#now.instant)
      this.#backoff.reset();
    this.#feed.disconnected();
    this.#publishes.disconnected();
    return held?.token;
  }

  /** Connects, with a token asked for first where the one at hand is none or has expired. */
  #connect(): void {
    if (!this.#online) {
      this.#phase = { name: "offline" };
    } else if (this.#credentials.isFresh(this.#now)) {
      this.#phase = { name: "wanting" };
    } else {
      this.#credentials.ask();
      this.#phase = { name: "token" };
    }
  }

  /** Connects after the next delay. */
  #retry(error: TidingsError): void {
    this.#fail(error);
    this.#phase = { name: "waiting", until: this.#now.instant + this.#backoff.next(this.#random) };
  }

  /** Tells of an error that is about the client as a whole. */
  #fail(error: TidingsError): void {
    this.#error = error;
    this.#outbox.push({ type: "error", error });
  }

  /** Lets go of the connection and connects after the next delay. */
  #reconnect(code: number, error: TidingsError): void {
    this.#leave(code);
    this.#retry(error);
  }

  #closed(code: number | undefined, reason: string): void {
    const token = this.#leave(undefined);
    if (token === undefined) return;
    const error = closeError(code, reason);
    if (isFault(code)) {
      this.#stopFor(error);
    } else if (code === UNAUTHORIZED || code === DISCONNECTED) {
      this.#rejected(token, code === UNAUTHORIZED, error);
    } else {
      if (code === EXPIRED) this.#credentials.expired(token);
      this.#retry(error);
    }
  }

  /** The server does not want this token, or this user. */
  #rejected(token: string, mayAsk: boolean, error: TidingsError): void {
    const { current } = this.#credentials;
    const another = current !== undefined && current !== token;
    const asks = this.#credentials.rejected(token) && mayAsk;
    if (another || asks) {
      this.#retry(error);
    } else {
      this.#fail(error);
      this.#phase = { name: "unauthorized" };
    }
  }

  #timeout(): void {
    const phase = this.#phase;
    const now = this.#now.instant;
    if (phase.name === "waiting" && phase.until <= now) {
      this.#connect();
    } else if (phase.name === "opening" && phase.by <= now) {
      this.#reconnect(NORMAL, givenUp("The server did not answer in time"));
    } else if (phase.name === "open") {
      this.#sessionTimeout(phase.session, now);
    }
  }

  #sessionTimeout(session: Session, now: number): void {
    if (isDead(session, now)) {
      const error = givenUp("Nothing came from the server for too long");
      this.#reconnect(SILENT, error);
      return;
    }
    if (session.leaveAt !== undefined && session.leaveAt <= now) {
      this.#leaveAsAsked(session, now);
      return;
    }
    if (session.refresh && session.refresh.deadline(this.#now) <= now) {
      session.refresh = undefined;
      session.refreshing = true;
      this.#credentials.ask();
    }
    if (session.heldUntil !== undefined && session.heldUntil <= now) session.heldUntil = undefined;
    if (session.flushAt !== undefined && session.flushAt <= now) {
      session.flushAt = undefined;
      this.#feed.subscriptions.flush();
      this.#publishes.flush();
    }
  }

  /** The server has chosen the moment; only one that asks again and again meets the delays. */
  #leaveAsAsked(session: Session, now: number): void {
    if (session.since + BACKOFF_RESET <= now) {
      this.#leave(NORMAL);
      this.#connect();
    } else {
      this.#reconnect(NORMAL, givenUp("The server asked to connect anew"));
    }
  }

  // Tokens

  #token(token: string | null): void {
    this.#credentials.answered();
    if (token === null) this.#noToken();
    else this.#takeToken(token);
  }

  #takeToken(token: string): void {
    const verdict = this.#credentials.take(token);
    const { name } = this.#phase;
    const session = this.#session;
    if ((name === "token" || name === "unauthorized") && verdict === "usable") {
      this.#phase = { name: this.#online ? "wanting" : "offline" };
    } else if (name === "token" && verdict === "rejected") {
      this.#phase = { name: "unauthorized" };
    } else if (name === "token") {
      this.#tokenFailed(undefined);
    } else if (session?.refreshing) {
      session.refreshing = false;
      const { current } = this.#credentials;
      if (current === undefined || current === session.token) this.#tokenFailed(undefined);
    }
  }

  /** There is no token. An open connection stays until its own expires. */
  #noToken(): void {
    const session = this.#session;
    if (session) {
      session.refreshing = false;
      return;
    }
    this.#credentials.forget();
    const { name } = this.#phase;
    if (name === "token" || name === "wanting") this.#unauthorized();
  }

  #unauthorized(): void {
    const error = new TidingsError(
      "unauthorized",
      "There is no token: sign in, and give it by `setToken` or `getToken`.",
    );
    this.#fail(error);
    this.#phase = { name: "unauthorized" };
  }

  #logout(): void {
    this.#credentials.answered();
    this.#credentials.forget();
    const { name } = this.#phase;
    if (name === "idle" || name === "closed" || name === "unauthorized") return;
    this.#leave(NORMAL);
    this.#unauthorized();
  }

  #tokenFailed(cause: unknown): void {
    this.#credentials.answered();
    const message =
      "No token could be got, or only one that has expired; asking again. What does `getToken` do?";
    const error = new TidingsError("no_token", message, { cause });
    if (this.#phase.name === "token") this.#retry(error);
    else if (this.#session) {
      this.#refreshLater(this.#session);
      this.#outbox.push({ type: "error", error });
    }
  }

  /** Asks for the next token after a pause that grows. */
  #refreshLater(session: Session): void {
    const pause = REFRESH_PAUSE + session.refreshBackoff.next(this.#random);
    session.refreshing = false;
    session.refresh = Refresh.after(this.#now, pause);
  }

  // What a message of the server does (PROTOCOL §2–5)

  #message(text: string): void {
    if (this.#phase.name !== "opening" && this.#phase.name !== "open") return;
    try {
      this.#receive(parse(text));
    } catch (cause) {
      if (!(cause instanceof BadMessage)) throw cause;
      const words = `A message of the server is against the protocol (${cause.message}); trying again.`;
      this.#reconnect(BAD_MESSAGES, new TidingsError("protocol", words, { details: text.slice(0, 256) }));
    }
  }

  #receive(message: ServerMessage): void {
    const session = this.#session;
    if (!session) {
      this.#greet(message);
      return;
    }
    session.heard = this.#now.instant;
    session.probeBy = undefined;
    session.pingDue = false;
    const receivers = this.#receivers as Readonly<
      Record<string, (message: ServerMessage, session: Session) => void>
    >;
    receivers[message.type]?.(message, session);
  }

  #asked(after: number, session: Session): void {
    const at = this.#now.instant + Math.min(after, LEAVE_MAX);
    session.leaveAt = Math.min(session.leaveAt ?? at, at);
  }

  #published(id: string, result: PublishedEvent): void {
    const publish = this.#publishes.answered(id);
    if (publish !== undefined) this.#outbox.push({ type: "published", publish, result });
  }

  #resumed(message: ResumedMessage, session: Session): void {
    this.#feed.resumed(message);
    session.resumeBy = undefined;
  }

  /** The first message. */
  #greet(message: ServerMessage): void {
    if (this.#phase.name !== "opening") return;
    const { token } = this.#phase;
    if (message.type === "newer") {
      const words = `The server speaks protocol ${message.protocol}, this client ${PROTOCOL}: update \`tidings\`.`;
      this.#leave(NORMAL);
      this.#stopFor(new TidingsError("protocol", words));
      return;
    }
    if (message.type !== "welcome") throw new BadMessage("the first is welcome");
    this.#credentials.accepted(token, message.expires);
    this.#feed.connected();
    this.#error = null;
    this.#phase = { name: "open", session: newSession(token, message, this.#now) };
  }

  #authenticated(session: Session, expires: number | undefined): void {
    const { auth } = session;
    if (!auth) return;
    this.#credentials.accepted(auth.token, expires);
    session.auth = undefined;
    session.token = auth.token;
    session.expires = expires;
    session.refresh = expires === undefined ? undefined : Refresh.before(expires, this.#now);
    session.refreshBackoff.reset();
  }

  #refused(session: Session, id: string, fault: Fault): void {
    const error = new TidingsError(fault.code, fault.message, fault);
    const passing = ["rate_limited", "unavailable", "internal"].includes(fault.code);
    if (passing && (this.#feed.subscriptions.defer(id) || this.#publishes.defer(id))) {
      session.flushAt ??= this.#now.instant + RETRY_DELAY * (1 + this.#random());
      return;
    }
    const kind = id[0];
    if (kind === "s") {
      // One that nobody holds any more ends in silence.
      this.#feed.end(this.#feed.subscriptions.refused(id), error);
    } else if (kind === "p") {
      const publish = this.#publishes.answered(id);
      if (publish !== undefined) this.#outbox.push({ type: "error", publish, error });
    } else if (kind === "r") {
      this.#reconnect(NORMAL, error);
    } else {
      if (session.auth?.id === id) this.#authRefused(session, session.auth.token);
      this.#outbox.push({ type: "error", error });
    }
  }

  #authRefused(session: Session, offered: string): void {
    this.#credentials.refused(offered, session.token, session.expires);
    session.auth = undefined;
    this.#refreshLater(session);
  }
}

function comesOnce(): never {
  throw new BadMessage("welcome comes once");
}
