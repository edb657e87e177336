/**
 * The fallback where WebSocket is blocked: a connection over HTTP that says what a WebSocket of the server would say,
 * so that the machine need not know the difference.
 *
 * Events come by one stream for the union of all subscriptions, which is opened anew from where it was whenever that
 * union grows: a browser holds few connections to a host, and events are routed here anyway. Who may subscribe to
 * what, and where the log ends, a stream of its own tells for each new subscription, of which only the first block is
 * read. What is published is posted.
 */

import type { Position } from "../types.ts";
import type { Address } from "./address.ts";
import { type Block, Refusal, readBlocks, request } from "./event-stream.ts";
import { LANES, type OffsetEvent } from "./messages.ts";
import type { Connection, Receiver } from "./transport.ts";

interface Interest {
  readonly events: readonly string[];
  readonly filter: Readonly<Record<string, unknown>>;
}

/** The machine's requests (PROTOCOL §3). */
type Request = { readonly id: string } & (
  | ({ readonly type: "subscribe"; readonly recent?: number } & Interest)
  | { readonly type: "unsubscribe" }
  | { readonly type: "resume"; readonly since: Position; readonly subscriptions: readonly Resumable[] }
  | { readonly type: "auth"; readonly token: string }
  | { readonly type: "ping" }
  | { readonly type: "publish"; readonly event: unknown }
);

type Resumable = { readonly id: string; readonly from: number } & Interest;
type Subscribe = Extract<Request, { type: "subscribe" }>;
type Resume = Extract<Request, { type: "resume" }>;

/** How long a stream may be silent, in ms: twice what passes between a server's heartbeats. */
const SILENCE = 60_000;
/** How long a request may go without an answer, in ms. */
const PATIENCE = 15_000;
/** Requests at most for the newest events of one subscription. */
const PAGES_MAX = 16;
/** Events of one such request; any server gives so many. */
const PAGE = 100;
/** The highest offset there is. */
const END = Number.MAX_SAFE_INTEGER;

/** Connects over HTTP. */
export function openSse(address: Address, token: string, receiver: Receiver): Connection {
  return new SseConnection(address, token, receiver);
}

class SseConnection implements Connection {
  readonly #address: Address;
  readonly #receiver: Receiver;
  readonly #life = new AbortController();
  #token: string;
  #epoch = "";
  /** Requests that wait for those before them. */
  #requests: Request[] = [];
  #serving = false;
  #publishing = Promise.resolve();
  readonly #interests = new Map<string, Interest>();
  #stream = new AbortController();
  /** The id of the stream's last block: where it is opened anew. */
  #lastId: string | undefined;
  /** Messages that replies go before; none where nothing is held back. */
  #held: string[] | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(address: Address, token: string, receiver: Receiver) {
    this.#address = address;
    this.#token = token;
    this.#receiver = receiver;
    this.#guard(this.#greet());
  }

  send(text: string): void {
    const request = JSON.parse(text) as Request;
    if (request.type === "publish") {
      this.#publishing = this.#publishing.then(() => this.#publish(request));
      return;
    }
    this.#requests.push(request);
    if (!this.#serving) this.#guard(this.#serve());
  }

  close(): void {
    this.#life.abort();
    this.#stream.abort();
    clearTimeout(this.#silence);
  }

  /** Says that the connection has ended. */
  #end(code?: number, reason?: string): void {
    if (this.#life.signal.aborted) return;
    this.close();
    this.#receiver.closed(code, reason);
  }

  /** What a task cannot deal with ends the connection. */
  #guard(task: Promise<void>): void {
    task.catch((error: unknown) => {
      if (!(error instanceof Refusal)) this.#end(undefined, String(error));
      else if (error.status === 401) this.#end(4401, error.message);
      else this.#end(error.status === 503 ? 1013 : undefined, error.message);
    });
  }

  /** Passes a message on, or holds it back. */
  #say(message: object): void {
    const text = JSON.stringify(message);
    if (this.#held) this.#held.push(text);
    else if (!this.#life.signal.aborted) this.#receiver.message(text);
  }

  /** Answers: a reply goes before what is held back. */
  #reply(message: object): void {
    if (!this.#life.signal.aborted) this.#receiver.message(JSON.stringify(message));
  }

  #refuse(id: string, { code, message, details }: Refusal): void {
    this.#reply({ type: "error", id, code, message, details });
  }

  async #greet(): Promise<void> {
    const { epoch } = await this.#page({ events: [], filter: {} }, END, 1);
    this.#epoch = epoch;
    // A stream's silence is watched here, and where nothing is subscribed there is none to be heard.
    const heartbeat = { timeout: END };
    this.#reply({ type: "welcome", protocol: 1, epoch, heartbeat, expiresAt: claims(this.#token).exp });
  }

  async #serve(): Promise<void> {
    this.#serving = true;
    while (this.#requests.length !== 0 && !this.#life.signal.aborted) {
      const subscribes: Subscribe[] = [];
      for (const request of this.#requests.splice(0)) {
        if (request.type === "subscribe") subscribes.push(request);
        else await this.#answer(request);
      }
      if (subscribes.length !== 0) await this.#subscribe(subscribes);
    }
    this.#serving = false;
  }

  async #answer(request: Exclude<Request, Subscribe>): Promise<void> {
    if (request.type === "resume") {
      for (const one of request.subscriptions) this.#interests.set(one.id, one);
      const { epoch, lanes } = request.since;
      this.#lastId = idOf(
        epoch,
        LANES.map((lane) => lanes[lane]),
      );
      await this.#follow(request);
    } else if (request.type === "unsubscribe") {
      // What the stream brings too much until it is opened anew is routed to nobody.
      this.#interests.delete(request.id);
      if (this.#interests.size === 0) this.#leave();
      this.#reply({ type: "unsubscribed", id: request.id });
    } else if (request.type === "auth") {
      await this.#swap(request.id, request.token);
    } else {
      // Whether the stream is alive shows when it is opened anew.
      if (this.#interests.size !== 0) await this.#follow();
      else await this.#page({ events: [], filter: {} }, END, 1);
      this.#reply({ type: "pong" });
    }
  }

  /** Begins subscriptions together, at the end of the log as the last of them finds it. */
  async #subscribe(subscribes: readonly Subscribe[]): Promise<void> {
    const ends = await Promise.all(subscribes.map((one) => this.#try(one.id, () => this.#findEnd(one))));
    const begun = subscribes.filter((_, index) => ends[index] !== undefined);
    if (begun.length === 0) return;
    const offset = Math.max(...ends.map((end) => end ?? 0));
    for (const one of begun) this.#interests.set(one.id, one);
    this.#lastId ??= idOf(this.#epoch, [offset, offset, offset, offset]);
    this.#held = [];
    await this.#follow();
    for (const one of begun) {
      const past = await this.#newest(one, one.recent ?? 0, offset);
      this.#reply({ type: "subscribed", id: one.id, offset, ...past });
    }
    const held = this.#held;
    this.#held = undefined;
    for (const text of held) if (!this.#life.signal.aborted) this.#receiver.message(text);
  }

  /** What a request for a subscription gives; none where the server refuses it, which is answered. */
  async #try<T>(id: string, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Refusal) || (error.status !== 400 && error.status !== 403)) throw error;
      this.#refuse(id, error);
      return undefined;
    }
  }

  /** The end of the log. Throws where the server would not let this be subscribed to. */
  async #findEnd(interest: Interest): Promise<number> {
    const probe = new AbortController();
    try {
      const blocks = await this.#open(interest, undefined, probe.signal);
      const { epoch, lanes } = read((await blocks.next()).value);
      if (epoch !== this.#epoch) throw new Error("the log has begun anew");
      return Math.max(...Object.values(lanes));
    } finally {
      probe.abort();
    }
  }

  /** The newest events up to an offset: looked for backwards, in windows that grow until there are enough. */
  async #newest(
    interest: Interest,
    most: number,
    until: number,
  ): Promise<{ recent?: OffsetEvent[]; truncated?: true }> {
    if (most === 0) return {};
    let recent: OffsetEvent[] = [];
    let pages = 0;
    for (let width = 16 * most; ; width *= 16) {
      const begin = Math.max(0, until - width);
      const found: OffsetEvent[] = [];
      for (let after = begin; after < until; ) {
        if (PAGES_MAX < ++pages) return { recent, truncated: true };
        const { events, next } = await this.#page(interest, after, Math.min(most, PAGE));
        found.push(...events.filter((one) => one.offset <= until));
        after = Math.max(next, after + 1);
      }
      recent = found.slice(-most);
      if (recent.length === most || begin === 0) return { recent };
    }
  }

  async #page(interest: Interest, after: number, limit: number): Promise<Page> {
    const query = `${interestQuery(interest)}&after=${after}&limit=${limit}`;
    const response = await this.#request(`/v1/events?${query}`, { signal: this.#life.signal });
    return (await response.json()) as Page;
  }

  async #open(
    interest: Interest,
    lastId: string | undefined,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<Block, undefined>> {
    const headers = lastId === undefined ? {} : { "last-event-id": lastId };
    return readBlocks(await this.#request(`/v1/stream?${interestQuery(interest)}`, { headers, signal }));
  }

  /** Sends a request; one that is not answered ends the connection. */
  async #request(path: string, init: RequestInit): Promise<Response> {
    const timer = setTimeout(() => this.#end(undefined, "the server did not answer in time"), PATIENCE);
    try {
      return await request(this.#address("http", path), this.#token, init);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Opens the stream for all subscriptions from where it was; answers a resume. */
  async #follow(resume?: Resume): Promise<void> {
    this.#leave();
    const stream = new AbortController();
    this.#stream = stream;
    const refused = new Map<string, Refusal>();
    const blocks = await this.#openUnion(stream.signal, refused);
    if (!resume) for (const [id, refusal] of refused) this.#refuse(id, refusal);
    if (!blocks) {
      if (resume) this.#resumed(resume, resume.since, true, refused);
      return;
    }
    const first = (await blocks.next()).value;
    const isAnew =
      first?.event === "gap" && (JSON.parse(first.data) as { reason: string }).reason === "epoch";
    if (isAnew) {
      // Each lane has its gap, and only the last tells where the stream now is.
      if (!resume) throw new Error("the log has begun anew");
      let last: Block | undefined;
      for (let lane = 1; lane < 4; lane++) last = (await blocks.next()).value ?? last;
      this.#resumed(resume, read(last), false, refused);
      this.#lastId = last?.id;
    } else {
      if (resume) this.#resumed(resume, resume.since, true, refused);
      this.#take(first);
    }
    this.#guard(this.#pump(blocks, stream.signal));
  }

  /** Lets go of the stream. */
  #leave(): void {
    this.#stream.abort();
    clearTimeout(this.#silence);
  }

  /** Opens the stream; those that the server refuses are taken out. None where none is left. */
  async #openUnion(
    signal: AbortSignal,
    refused: Map<string, Refusal>,
  ): Promise<AsyncGenerator<Block, undefined> | undefined> {
    const interests = [...this.#interests];
    if (interests.length === 0) return undefined;
    try {
      return await this.#open(union(interests.map(([, interest]) => interest)), this.#lastId, signal);
    } catch (error) {
      if (!(error instanceof Refusal) || (error.status !== 400 && error.status !== 403)) throw error;
      for (const [id, interest] of interests) {
        const found = await this.#findEnd(interest).catch((fault: unknown) => fault);
        if (!(found instanceof Refusal)) continue;
        refused.set(id, found);
        this.#interests.delete(id);
      }
      // Where none is at fault alone, to try again would change nothing.
      if (this.#interests.size === interests.length) throw error;
      return this.#openUnion(signal, refused);
    }
  }

  #resumed(resume: Resume, position: Position, known: boolean, refused: ReadonlyMap<string, Refusal>): void {
    const end = Math.max(...Object.values(position.lanes));
    const subscriptions = resume.subscriptions.map(({ id, from }) => {
      const refusal = refused.get(id);
      if (!refusal) return { id, offset: known ? from : end };
      return { id, error: { code: refusal.code, message: refusal.message } };
    });
    this.#reply({ type: "resumed", id: resume.id, recovered: known, position, subscriptions });
  }

  async #pump(blocks: AsyncGenerator<Block, undefined>, signal: AbortSignal): Promise<void> {
    try {
      for await (const block of blocks) if (!signal.aborted) this.#take(block);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    if (signal.aborted) return;
    const { exp = END } = claims(this.#token);
    if (exp * 1000 <= Date.now()) this.#end(4419, "token expired");
    else this.#end(undefined, "the stream ended");
  }

  #take(block: Block | undefined): void {
    if (!block) return;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#end(4408, "the stream is silent"), SILENCE);
    this.#lastId = block.id;
    this.#say(
      block.data ? (JSON.parse(block.data) as object) : { type: "heartbeat", lanes: read(block).lanes },
    );
  }

  /** Takes another token in place of the one in use, of the same user. */
  async #swap(id: string, token: string): Promise<void> {
    const used = this.#token;
    this.#token = token;
    try {
      if (claims(token).sub !== claims(used).sub)
        throw new Refusal(401, "", "the token is another user's", undefined);
      await this.#page({ events: [], filter: {} }, END, 1);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
      this.#token = used;
      this.#reply({ type: "error", id, code: "invalid_token", message: error.message });
      return;
    }
    this.#reply({ type: "authenticated", id, expiresAt: claims(token).exp });
    if (this.#interests.size !== 0) await this.#follow();
  }

  async #publish({ id, event }: Extract<Request, { type: "publish" }>): Promise<void> {
    const { signal } = this.#life;
    const headers = { "content-type": "application/json" };
    const init = { method: "POST", body: JSON.stringify(event), headers, signal };
    try {
      const response = await this.#request("/v1/events", init);
      const { results } = (await response.json()) as {
        results: [{ id: string; offset: number; duplicate: boolean }];
      };
      const [{ id: eventId, offset, duplicate }] = results;
      this.#reply({ type: "published", id, eventId, offset, duplicate });
    } catch (error) {
      // What did not arrive is sent again, with the same event id.
      const refusal =
        error instanceof Refusal ? error : new Refusal(503, "unavailable", String(error), undefined);
      this.#refuse(id, refusal);
    }
  }
}

interface Page {
  readonly epoch: string;
  readonly events: readonly OffsetEvent[];
  readonly next: number;
}

function interestQuery({ events, filter }: Interest): string {
  const query = new URLSearchParams();
  if (events.length !== 0) query.set("events", events.join());
  query.set("filter", JSON.stringify(filter));
  return query.toString();
}

/** What lets through at least all that these do. A filter stays where all have the same. */
function union(interests: readonly Interest[]): Interest {
  const filters = new Set(interests.map(({ filter }) => JSON.stringify(filter)));
  const [first] = interests;
  return {
    events: [...new Set(interests.flatMap(({ events }) => events))],
    filter: filters.size === 1 && first ? first.filter : {},
  };
}

function idOf(epoch: string, offsets: readonly number[]): string {
  return [epoch, ...offsets].join(".");
}

/** The position that a block's id tells. */
function read(block: Block | undefined): Position {
  const parts = block?.id.split(".") ?? [];
  const [critical = 0, high = 0, normal = 0, low = 0] = parts.splice(-4).map(Number);
  return { epoch: parts.join("."), lanes: { critical, high, normal, low } };
}

/** What a token says of itself; nothing where it is no JWT. */
function claims(token: string): { readonly exp?: number; readonly sub?: unknown } {
  try {
    const part = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const { exp, sub } = JSON.parse(atob(part)) as { exp?: number; sub?: unknown };
    // Whole seconds, as the server's own `welcome` says them; a token may say parts of one.
    return { sub, ...(exp !== undefined && { exp: Math.min(Math.floor(exp), END) }) };
  } catch {
    return {};
  }
}
