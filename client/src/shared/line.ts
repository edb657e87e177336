/**
 * One connection to the server, shared by the members of a group. To each member it is the server: it hands on
 * `welcome`, takes requests, and gives each the answers and events that are its own.
 *
 * It keeps no promise across connections: every member is a whole client with a position, and resumes on the next
 * line where this one ends. The server takes one resume a connection, before all else (PROTOCOL §3). So a line waits
 * for the members that may have something to resume, and asks for all of it at once, from the least of their
 * positions; what a member has already, its machine drops. One that comes later with something to resume makes a new
 * line necessary.
 */

import { CONNECT_TIMEOUT, PROBE_TIMEOUT } from "../client/config.ts";
import type { Handlers } from "../client/io.ts";
import { LANES, PROTOCOL, parse, type ServerMessages } from "../client/messages.ts";
import type { Connection } from "../client/transport.ts";
import type { Lane, Position } from "../types.ts";
import type { Outside } from "./exchange.ts";
import { expiryOf } from "./group.ts";
import { Merged } from "./merged.ts";
import type { FromMember, ToMember } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import type { Request, Requests } from "./requests.ts";

/** How long a line waits for invited members, in ms: they are there at once, unless their tab is frozen or busy. */
const GATHERING = 1_000;
/** Characters at most on their way to a member, whose tab may be frozen. */
const UNREAD_MAX = 4 * 1024 * 1024;
/** The longest delay that a timer takes, in ms. */
const DELAY_MAX = 2 ** 31 - 1;
/** Ids of the requests that are not those of one subscription or publish. */
const RESUME = "r";
const AUTH = "a";
/** The close codes that concern one member only. */
const UNAUTHORIZED = 4401;
const EXPIRED = 4419;
const FAULTS = [1002, 1003, 1007, 1009, 4400];

type Lanes = Position["lanes"];
type Welcome = ServerMessages["welcome"] & { readonly offset?: number };

/** A member's place at this line. */
interface Place {
  readonly member: string;
  readonly link: number;
  /** What it asked to resume, and from where it was asked for. */
  resume?: Requests["resume"];
  since?: Lanes;
  /** Characters on their way to it. */
  unread: number;
}

export class Line {
  readonly #id: string = crypto.randomUUID();
  readonly #outside: Outside;
  readonly #over: (anew: boolean) => void;
  /** Members of whom it is not known whether they come, and with what to resume. */
  readonly #expected: Set<string>;
  readonly #places = new Map<string, Place>();
  readonly #merged = new Merged<Place>();
  readonly #outbox = new Outbox<Place>((text) => this.#connection?.send(text));
  /** Waits for a member; for `welcome`; for all members; for `resumed`; is used for whatever they want; is no more. */
  #phase: "new" | "opening" | "gathering" | "resuming" | "live" | "over" = "new";
  #connection: Connection | undefined;
  #welcome: Welcome | undefined;
  /** The token that the server has, and whose it was. */
  #token = "";
  #tokenOf = "";
  /** From where all was resumed. */
  #since: Position | undefined;
  /** What the server has not answered: publishes by the id that it knows, and tokens in their order. */
  readonly #publishes = new Map<string, { readonly place: Place; readonly id: string }>();
  readonly #auths: { readonly place: Place; readonly request: Requests["auth"] }[] = [];
  #next = 0;
  #gathering: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  /** What each request of a member does. */
  readonly #requests: Handlers<{ [T in keyof Requests]: [request: Requests[T], place: Place] }> = {
    subscribe: (request, owner) => {
      const written = () => {
        return { type: "subscribe", ...request, id: this.#merged.ask(owner, request.id, request) };
      };
      this.#outbox.push({ owner, id: request.id, written });
    },
    resume: (request, place) => {
      if (this.#phase === "resuming" || this.#phase === "live") this.#over(true);
      else place.resume = request;
    },
    unsubscribe: ({ id }, place) => {
      this.#outbox.drop(place, id);
      this.#release(place, id);
    },
    publish: (request, owner) => {
      const written = () => this.#publish(owner, request);
      this.#outbox.push({ owner, id: request.id, written });
    },
    auth: (request, owner) => this.#outbox.push({ owner, written: () => this.#authenticate(owner, request) }),
    ping: (request, owner) => {
      const written = () => {
        this.#within(PROBE_TIMEOUT);
        return request;
      };
      this.#outbox.push({ owner, written });
    },
  };

  /** What each message of the server does. */
  readonly #messages: Handlers<{ [T in keyof ServerMessages]: [message: ServerMessages[T], text: string] }> =
    {
      welcome: (message, text) => {
        if (this.#welcome || message.protocol !== PROTOCOL) this.#tellAll(text);
        else this.#welcomed(message);
      },
      event: ({ offset, event }, text) => {
        for (const place of this.#merged.recipients(offset, event)) this.#tell(place, text);
      },
      heartbeat: (_, text) => this.#tellAll(text),
      gap: (_, text) => {
        for (const place of this.#merged.owners()) this.#tell(place, text);
      },
      subscribed: (message) => this.#subscribed(message),
      resumed: (message) => this.#resumed(message),
      authenticated: ({ expiresAt }) => this.#authenticated(expiresAt),
      published: (message) => {
        const publish = this.#take(message.id);
        if (publish) this.#tell(publish.place, { type: "published", ...message, id: publish.id });
      },
      reconnect: (_, text) => this.#tellAll(text),
      error: (message, text) => this.#refused(message, text),
    };

  /** Invites the members. `over` is called when it ends by itself; `anew` where another is needed at once. */
  constructor(outside: Outside, members: Iterable<string>, over: (anew: boolean) => void) {
    this.#outside = outside;
    this.#expected = new Set(members);
    this.#over = over;
    for (const member of this.#expected) this.#say(member, { type: "invite" });
  }

  handle(member: string, message: FromMember): void {
    if (message.type === "open") this.#open(member, message.link, message.token);
    if (message.type === "pass") this.gone(member);
    const place = this.#places.get(member);
    if (!place || !("link" in message) || message.link !== place.link) return;
    if (message.type === "send") {
      const request = JSON.parse(message.text) as Request;
      (this.#requests[request.type] as (request: Request, place: Place) => void)(request, place);
      this.#advance();
    } else if (message.type === "ready") {
      this.#expected.delete(member);
      this.#advance();
    } else if (message.type === "took") {
      place.unread -= message.size;
    } else if (message.type === "close") {
      this.#leave(place);
    }
  }

  /** A member does not come, or lives no more. */
  gone(member: string): void {
    this.#expected.delete(member);
    const place = this.#places.get(member);
    if (place) this.#leave(place);
    this.#advance();
  }

  /** Lets go of the connection. Its members hear of it by the next line's invitation. */
  close(): void {
    this.#phase = "over";
    clearTimeout(this.#gathering);
    clearTimeout(this.#silence);
    this.#outbox.close();
    this.#connection?.close();
  }

  // Members

  #open(member: string, link: number, token: string): void {
    const before = this.#places.get(member);
    if (before?.link === link) return;
    if (before) this.#remove(before);
    const place = { member, link, unread: 0 };
    this.#places.set(member, place);
    this.#expected.add(member);
    this.#say(member, { type: "accepted", link, leader: this.#outside.leader });
    if (this.#welcome) this.#tell(place, this.#welcome);
    if (this.#phase !== "new") return;
    this.#phase = "opening";
    this.#token = token;
    this.#tokenOf = member;
    this.#within(CONNECT_TIMEOUT);
    const receiver = {
      message: (text: string) => this.#message(text),
      closed: (code?: number, reason?: string) => this.#closed(code, reason),
    };
    this.#outside.connect(token, receiver).then(
      (connection) => {
        if (this.#phase === "over") connection.close();
        else this.#connection = connection;
      },
      (error: unknown) => this.#closed(undefined, `${error}`),
    );
  }

  #leave(place: Place): void {
    this.#remove(place);
    if (this.#places.size === 0) this.#over(false);
    else this.#advance();
  }

  #remove(place: Place): void {
    this.#places.delete(place.member);
    this.#expected.delete(place.member);
    this.#outbox.drop(place);
    this.#release(place);
  }

  #release(place: Place, id?: string): void {
    for (const unwanted of this.#merged.release(place, id)) this.#letGo(unwanted);
  }

  #letGo(id: string): void {
    this.#outbox.push({ written: () => ({ type: "unsubscribe", id }) });
  }

  #publish(place: Place, request: Requests["publish"]): object {
    const id = `p${this.#next++}`;
    this.#publishes.set(id, { place, id: request.id });
    return { ...request, id };
  }

  /** The publish that an answer to `id` ends. */
  #take(id: string): { readonly place: Place; readonly id: string } | undefined {
    const publish = this.#publishes.get(id);
    this.#publishes.delete(id);
    return publish;
  }

  /** Every member renews its token in time. One that is no better than what the server has is not worth a request. */
  #authenticate(place: Place, request: Requests["auth"]): object | undefined {
    if (expiryOf(request.token) <= expiryOf(this.#token)) {
      this.#tell(place, { type: "authenticated", id: request.id, expiresAt: this.#welcome?.expiresAt });
      return undefined;
    }
    this.#auths.push({ place, request });
    return { type: "auth", id: AUTH, token: request.token };
  }

  // Resume

  /** Goes on, once all have said what they have to resume: with that, or with whatever else is wanted first. */
  #advance(): void {
    if (this.#phase !== "gathering" || this.#expected.size !== 0) return;
    const resumes = [...this.#places.values()].flatMap((place) =>
      place.resume ? [{ place, ...place.resume }] : [],
    );
    if (resumes.length === 0 && this.#outbox.isEmpty) return;
    clearTimeout(this.#gathering);
    if (resumes.length === 0) {
      this.#phase = "live";
      this.#outbox.open();
      return;
    }
    this.#phase = "resuming";
    const { epoch = "", offset = 0 } = this.#welcome ?? {};
    // Where nothing is of this log, the server says so. Where some is, what is of another begins at the end of this.
    const epochs = resumes.map(({ since }) => since.epoch);
    const common = epochs.find((one) => one === epoch) ?? epochs[0] ?? epoch;
    const all = resumes.map(({ place, since, subscriptions }) => {
      const isCommon = since.epoch === common;
      for (const one of subscriptions) this.#merged.restore(place, one.id, one, isCommon ? one.from : offset);
      place.since = isCommon ? since.lanes : lanesOf(() => offset);
      return place.since;
    });
    this.#since = { epoch: common, lanes: lanesOf((lane) => Math.min(...all.map((lanes) => lanes[lane]))) };
    const subscriptions = this.#merged.entries();
    this.#outbox.write({ type: "resume", id: RESUME, since: this.#since, subscriptions });
  }

  #resumed({ recovered, position, subscriptions }: ServerMessages["resumed"]): void {
    const { epoch, lanes } = position;
    const asked = this.#since ?? position;
    // A server whose log ends below where the resume began has begun anew even where its epoch is the same.
    const isAnew = asked.epoch !== epoch || LANES.some((lane) => lanes[lane] < asked.lanes[lane]);
    const answers = new Map<Place, object[]>();
    for (const { id, offset, error } of subscriptions) {
      const isGranted = offset !== undefined;
      for (const handle of isGranted ? this.#merged.resumed(id, offset, isAnew) : this.#merged.ended(id)) {
        const outcome = isGranted ? { offset: handle.above } : { error };
        const its = answers.get(handle.owner) ?? [];
        answers.set(handle.owner, [...its, { id: handle.id, ...outcome }]);
      }
    }
    for (const [place, its] of answers) {
      const since = isAnew ? lanes : (place.since ?? lanes);
      const own = { epoch, lanes: lanesOf((lane) => Math.max(since[lane], lanes[lane])) };
      const id = place.resume?.id;
      this.#tell(place, { type: "resumed", id, recovered, position: own, subscriptions: its });
    }
    this.#phase = "live";
    this.#outbox.open();
  }

  // The server

  /** Has the line end where the server is not heard in time. */
  #within(delay: number): void {
    clearTimeout(this.#silence);
    const end = () => this.#closed(undefined, "the server is silent");
    this.#silence = setTimeout(end, Math.min(delay, DELAY_MAX));
  }

  #message(text: string): void {
    if (this.#phase === "over") return;
    this.#within(this.#welcome?.heartbeat.timeout ?? CONNECT_TIMEOUT);
    try {
      const message = parse(text);
      const isKnown = Object.hasOwn(this.#messages, message.type);
      const take = this.#messages[message.type] as (message: object, text: string) => void;
      if (isKnown) take(message, text);
      else this.#tellAll(text);
    } catch {
      // What is against the protocol, each member's machine judges.
      this.#tellAll(text);
    }
  }

  #welcomed(message: Welcome): void {
    this.#welcome = message;
    this.#within(message.heartbeat.timeout);
    this.#phase = "gathering";
    this.#gathering = setTimeout(() => {
      this.#expected.clear();
      this.#advance();
    }, GATHERING);
    for (const place of this.#places.values()) this.#tell(place, message);
  }

  #subscribed(message: ServerMessages["subscribed"]): void {
    const { handles, unwanted } = this.#merged.begun(message.id, message.offset);
    for (const { owner, id } of handles) this.#tell(owner, { type: "subscribed", ...message, id });
    if (unwanted) this.#letGo(unwanted);
  }

  #authenticated(expiresAt: number | undefined): void {
    const auth = this.#auths.shift();
    if (!auth || !this.#welcome) return;
    const { place, request } = auth;
    this.#token = request.token;
    this.#tokenOf = place.member;
    const { expiresAt: _, ...others } = this.#welcome;
    this.#welcome = expiresAt === undefined ? others : { ...others, expiresAt };
    this.#tell(place, { type: "authenticated", id: request.id, expiresAt });
  }

  /** The server has refused a request, or ended a subscription. */
  #refused(message: ServerMessages["error"], text: string): void {
    const { id } = message;
    if (id === undefined) {
      this.#tellAll(text);
    } else if (id === RESUME) {
      this.#closed(undefined, message.message);
    } else {
      const auth = id === AUTH ? this.#auths.shift() : undefined;
      const asked = auth && { place: auth.place, id: auth.request.id };
      const ended = this.#merged.ended(id).map((handle) => ({ place: handle.owner, id: handle.id }));
      for (const one of [asked ?? this.#take(id) ?? [], ended].flat()) {
        this.#tell(one.place, { type: "error", ...message, id: one.id });
      }
    }
  }

  /** The server has closed. A member answers for its own token and its own faults only; others try again. */
  #closed(code = 0, reason?: string): void {
    if (this.#phase === "over") return;
    const sender = FAULTS.includes(code) ? this.#outbox.lastOwner?.member : undefined;
    const blamed = code === UNAUTHORIZED || code === EXPIRED ? this.#tokenOf : sender;
    for (const { member, link } of this.#places.values()) {
      const isMeant = code !== 0 && (blamed === undefined || blamed === member);
      this.#say(member, { type: "closed", link, reason, ...(isMeant && { code }) });
    }
    this.#over(false);
  }

  #tellAll(text: string): void {
    for (const place of this.#places.values()) this.#tell(place, text);
  }

  /** Gives a member a message, unless it has gone or too many wait for it. */
  #tell(place: Place, message: object | string): void {
    const { member, link } = place;
    if (this.#places.get(member) !== place) return;
    const text = typeof message === "string" ? message : JSON.stringify(message);
    place.unread += text.length;
    if (place.unread <= UNREAD_MAX) {
      this.#say(member, { type: "message", link, text });
    } else {
      this.#say(member, { type: "closed", link, alone: true });
      this.#leave(place);
    }
  }

  #say(member: string, message: ToMember): void {
    this.#outside.tell(member, this.#id, message);
  }
}

function lanesOf(of: (lane: Lane) => number): Lanes {
  return { critical: of("critical"), high: of("high"), normal: of("normal"), low: of("low") };
}
