/**
 * What the subscriptions of a client are owed and have got: the position, and how a resume and everything after it
 * moves it (PROTOCOL §5). An event is passed on once, and what is missing is told as a gap.
 */

import { TidingsError } from "../errors.ts";
import type { Gap, Position } from "../types.ts";
import type { Output } from "./io.ts";
import type { ServerMessage } from "./messages.ts";
import {
  BadMessage,
  LANES,
  type OffsetEvent,
  type ResumedMessage,
  type SubscribedMessage,
} from "./messages.ts";
import { type Begun, Subscriptions, type Wanted } from "./subscriptions.ts";

export class Feed {
  readonly subscriptions = new Subscriptions();
  readonly #tell: (output: Output) => void;
  #position: Position | undefined;
  /** On this connection: to be resumed where there is something to resume; `resumed` must come; live. */
  #replay: "due" | "asked" | "done" = "due";

  constructor(tell: (output: Output) => void) {
    this.#tell = tell;
  }

  /** Up to where everything has arrived; none without a subscription that has begun. */
  get position(): Position | undefined {
    return this.#position;
  }

  get isDue(): boolean {
    return this.#replay === "due";
  }

  /** Whether events may come, subscriptions may be asked for, and a heartbeat speaks of what this client wants. */
  get follows(): boolean {
    return this.#replay === "done";
  }

  connected(): void {
    this.#replay = "due";
  }

  disconnected(): void {
    this.subscriptions.disconnected();
  }

  subscribe(wanted: Wanted): void {
    const newest = Math.max(0, ...Object.values(this.#position?.lanes ?? {}));
    const begun = this.subscriptions.subscribe(wanted, newest);
    if (begun instanceof TidingsError) this.end([wanted.id], begun);
    else if (begun) this.#begin(begun, false);
  }

  /** The request that is due, where there is something to resume. */
  resume(id: string): object | undefined {
    if (this.#position && this.subscriptions.hasLive) {
      this.#replay = "asked";
      return { type: "resume", id, since: this.#position, subscriptions: this.subscriptions.resume() };
    }
    this.#replay = "done";
    this.#position = undefined;
    return undefined;
  }

  event({ offset, lane, event }: Extract<ServerMessage, { type: "event" }>): void {
    if (!this.follows) throw new BadMessage("events come after resumed");
    // Without a position nothing is subscribed; what comes was for a subscription that has ended.
    if (!this.#position || offset <= this.#position.lanes[lane]) return;
    const subscriptions = this.subscriptions.matching({ offset, event });
    this.#raise({ [lane]: offset });
    if (subscriptions.length === 0) return;
    this.#tell({ type: "event", delivery: { event, offset, lane, recent: false }, subscriptions });
  }

  /**
   * Before `resumed` a heartbeat speaks of a connection without subscriptions, to which nothing is owed: taking its
   * offsets would skip what the resume is about to ask for.
   */
  heartbeat(lanes: Position["lanes"]): void {
    if (this.follows) this.#raise(lanes);
  }

  /** A gap that the position covers has been told by `resumed`. */
  gap(gap: Gap): void {
    if (!this.#position) return;
    if (this.follows) {
      if (gap.until <= this.#position.lanes[gap.lane]) return;
      this.#raise({ [gap.lane]: gap.until });
    }
    this.#tell({ type: "gap", gap });
  }

  subscribed(message: SubscribedMessage, epoch: string): void {
    const first = !this.subscriptions.hasLive;
    const begun = this.subscriptions.subscribed(message);
    if (first && begun.length !== 0) {
      // What ended before is owed to nobody, so the beginning of the only one is the position.
      const { offset } = message;
      this.#position ??= { epoch, lanes: { critical: 0, high: 0, normal: 0, low: 0 } };
      this.#position = { ...this.#position, epoch };
      this.#raise({ critical: offset, high: offset, normal: offset, low: offset });
    }
    for (const one of begun) this.#begin(one, message.truncated);
  }

  /**
   * Adopts the server's position. What that skips is told here as gaps, because the connection may break before the
   * server's own come, and the next resume would no longer ask for them.
   */
  resumed({ recovered, position, subscriptions }: ResumedMessage): void {
    const old = this.#position;
    if (!old || this.#replay !== "asked") throw new BadMessage("resumed came unasked");
    // A server whose log ends below the position has begun anew even where its epoch is the same.
    const back = LANES.some((lane) => position.lanes[lane] < old.lanes[lane]);
    const anew = old.epoch !== position.epoch || back;
    const ended = this.subscriptions.resumed(subscriptions, anew);
    if (!ended) throw new BadMessage("a resumed says nothing of a subscription");
    this.#replay = "done";
    for (const lane of LANES) {
      const after = old.lanes[lane];
      const until = position.lanes[lane];
      if (anew) this.#tell({ type: "gap", gap: { lane, until, reason: "epoch" } });
      else if (!recovered && after < until)
        this.#tell({ type: "gap", gap: { lane, after, until, reason: "expired" } });
    }
    this.#position = position;
    for (const one of ended)
      this.end(one.subscriptions, new TidingsError(one.fault.code, one.fault.message, one.fault));
  }

  /** Tells of subscriptions that have ended. */
  end(subscriptions: readonly string[], error: TidingsError): void {
    for (const subscription of subscriptions) this.#tell({ type: "error", subscription, error });
  }

  #begin({ subscription, offset, recent }: Begun, truncated: boolean): void {
    const past = ({ offset, event }: OffsetEvent) => {
      return { event, offset, lane: event.priority ?? "normal", recent: true };
    };
    this.#tell({ type: "subscribed", subscription, offset, truncated, recent: recent.map(past) });
  }

  /** Raises lanes of the position to offsets that have been reached. */
  #raise(offsets: Partial<Position["lanes"]>): void {
    if (!this.#position) return;
    const { epoch, lanes } = this.#position;
    const of = (lane: (typeof LANES)[number]) => Math.max(lanes[lane], offsets[lane] ?? 0);
    this.#position = {
      epoch,
      lanes: { critical: of("critical"), high: of("high"), normal: of("normal"), low: of("low") },
    };
  }
}
