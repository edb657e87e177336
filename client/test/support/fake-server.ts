/** A server that is a function: the `fetch` of an emitter under test, which takes batches into a log as the server does. */

export interface SentEvent {
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly [attribute: string]: unknown;
}

interface Sent {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal | null | undefined;
  /** When, by the clock. */
  readonly at: number;
}

/** An answer in place of the server's own, or none. It throws where no answer comes. */
type Handler = (events: readonly SentEvent[]) => Response | undefined;

export class FakeServer {
  /** Every request so far. */
  requests: Sent[] = [];
  /** Every event that was published, once. */
  log: SentEvent[] = [];
  #handler: Handler = () => undefined;
  #once: Handler[] = [];
  #held: { readonly released: Promise<void>; readonly release: () => void } | undefined;

  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const { method = "GET", body, signal } = init;
    const headers = Object.fromEntries(new Headers(init.headers));
    const text = typeof body === "string" ? body : "";
    this.requests.push({ url: String(input), method, headers, body: text, signal, at: Date.now() });
    await this.#untilReleased(signal);
    const events: readonly SentEvent[] = text === "" ? [] : JSON.parse(text);
    const handler = this.#once.shift() ?? this.#handler;
    return handler(events) ?? Response.json({ results: events.map((event) => this.#take(event)) });
  };

  /** Forgets everything. */
  reset(): void {
    this.requests = [];
    this.log = [];
    this.#once = [];
    this.answerWith();
    this.release();
  }

  /** Keeps answers back until `release`. */
  hold(): void {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#held = { released, release };
  }

  release(): void {
    this.#held?.release();
    this.#held = undefined;
  }

  /** Answers all requests from now on; without a handler as the server does. */
  answerWith(handler: Handler = () => undefined): void {
    this.#handler = handler;
  }

  /** Answers one request. */
  answerOnce(handler: Handler): void {
    this.#once.push(handler);
  }

  /** All events that were sent, request by request. */
  events(): SentEvent[] {
    return this.requests.flatMap(({ body }) => JSON.parse(body));
  }

  /** The `contentId` of the events of each request. */
  batches(): unknown[][] {
    return this.requests.map(({ body }) => JSON.parse(body).map((event: SentEvent) => event.data.contentId));
  }

  async #untilReleased(signal: AbortSignal | null | undefined): Promise<void> {
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
      if (signal?.aborted) reject(signal.reason);
    });
    await Promise.race([this.#held?.released, aborted]);
  }

  #take(event: SentEvent) {
    const known = this.log.findIndex(({ id }) => id === event.id);
    if (known !== -1) return { id: event.id, offset: known + 1, duplicate: true };
    return { id: event.id, offset: this.log.push(event), duplicate: false };
  }
}
