/**
 * The application's subscriptions and the server's that carry them, and up to where they have got everything.
 *
 * Equal ones share one of the server's, each sees only what is above its own beginning, and what changes without a
 * connection is told to the next. The position moves by the rules of PROTOCOL §5: an event is passed on once, and
 * what is missing is told as a gap.
 */

import { TidingsError } from "../errors.ts";
import type { Gap, Lane, Position } from "../types.ts";
import { PATTERNS_MAX, RECENT_MAX } from "./config.ts";
import type { Output, Wanted } from "./io.ts";
import { isObject, matches, type WireFilter } from "./matching.ts";
import { LANES, type OffsetEvent, type Receivers, whole, wrong } from "./messages.ts";

/** A subscription of the application. */
interface Handle {
  readonly id: string;
  /** It sees what is above; without meaning until its wire subscription has begun. */
  above: number;
  readonly recent: number;
}

/** A subscription of the server, shared by handles that ask for the same. */
interface Wire {
  /** Equal for what lets through the same. */
  readonly key: string;
  /** What it asks for. */
  readonly interest: { readonly id: string; readonly events: readonly string[]; readonly filter: WireFilter };
  /** Whether this connection has been asked for it. */
  asked: boolean;
  /** Where it began; none before it has. */
  from: number | undefined;
  handles: Handle[];
}

export class Subscriptions {
  readonly #tell: (...output: Output) => void;
  #wires: Wire[] = [];
  /** Ids that this connection knows and nobody wants. */
  #unwanted: string[] = [];
  /** Where subscriptions of the page before began, until the first connection. */
  #kept: Readonly<Record<string, number>> = {};
  #next = 0;
  /** The epoch of the connection, and of the position. */
  #current = "";
  #epoch = "";
  /** The position; none without a subscription that has begun. */
  #lanes: Record<Lane, number> | undefined;
  /** On this connection: to be resumed where there is something to resume; `resumed` must come; live. */
  #replay: "due" | "asked" | "done" = "due";

  /** What each message of the server does to the position and the subscriptions. */
  readonly messages: Receivers<"subscribed" | "resumed" | "event" | "heartbeat" | "gap"> = {
    /** The server has begun a subscription. Where another that lives asks for the same, its handles move over there. */
    subscribed: ({ id, offset, recent = [], truncated }) => {
      const wire = this.#find(id);
      const from = whole(offset);
      if (!wire?.asked || isLive(wire)) return;
      if (!this.#wires.some(isLive)) {
        // What ended before is owed to nobody, so the beginning of the only one is the position.
        this.#epoch = this.#current;
        this.#lanes = { critical: from, high: from, normal: from, low: from };
      }
      const twin = this.#wires.find((one) => one.key === wire.key && isLive(one));
      wire.from = from;
      for (const handle of wire.handles) {
        handle.above = from;
        this.#begin(handle, recent, truncated);
        twin?.handles.push(handle);
      }
      if (twin) this.#drop(wire);
    },

    /**
     * Adopts the server's position. What that skips is told here as gaps, because the connection may break before the
     * server's own come, and the next resume would no longer ask for them.
     */
    resumed: ({ recovered, position: { epoch, lanes }, subscriptions }) => {
      const old = this.#lanes;
      if (!old || this.#replay !== "asked") wrong();
      // A server whose log ends below the position has begun anew even where its epoch is the same.
      const anew = this.#epoch !== epoch || LANES.some((lane) => lanes[lane] < old[lane]);
      for (const lane of LANES) {
        const [after, until] = [old[lane], whole(lanes[lane])];
        if (anew) this.#miss(lane, undefined, until, "epoch");
        else if (!recovered && after < until) this.#miss(lane, after, until, "expired");
      }
      this.#lanes = { ...lanes };
      this.#epoch = epoch;
      this.#replay = "done";
      for (const { id, offset = 0, error } of subscriptions) {
        if (error) this.refused(id, new TidingsError(error.code, error.message ?? "", error));
        const wire = this.#find(id);
        if (!wire) continue;
        wire.from = offset;
        // Where offsets have begun anew, what a handle saw before says nothing.
        for (const handle of wire.handles) handle.above = Math.max(anew ? 0 : handle.above, offset);
      }
    },

    event: ({ offset, lane, event }) => {
      if (this.#replay !== "done") wrong();
      const wires = this.#wires.filter(
        (wire) => isLive(wire) && matches(wire.interest.events, wire.interest.filter, event),
      );
      const handles = wires.flatMap((wire) => wire.handles).filter(({ above }) => above < offset);
      if (!this.#reach(lane, offset) || !handles[0]) return;
      this.#tell(
        "event",
        { event, offset, lane, recent: false },
        handles.map(({ id }) => id),
      );
    },

    /**
     * Before `resumed` a heartbeat speaks of a connection without subscriptions, to which nothing is owed: taking its
     * offsets would skip what the resume is about to ask for.
     */
    heartbeat: ({ lanes }) => {
      if (this.#replay !== "done") return;
      for (const lane of LANES) this.#reach(lane, lanes[lane]);
    },

    /** A gap that the position covers has been told by `resumed`. */
    gap: ({ lane, after, until, reason }) => {
      if (this.#replay === "done" ? !this.#reach(lane, until) : !this.#lanes) return;
      this.#miss(lane, after, until, reason);
    },
  };

  constructor(tell: (...output: Output) => void) {
    this.#tell = tell;
  }

  /** Up to where everything has arrived; none without a subscription that has begun. */
  get position(): Position | null {
    return this.#lanes ? { epoch: this.#epoch, lanes: { ...this.#lanes } } : null;
  }

  /** Where each began, by key; nothing where it has not. */
  get begun(): readonly (readonly [key: string, from: number | undefined])[] {
    return this.#wires.map(({ key, from }) => [key, from]);
  }

  /** Goes on from a position of the page before, with what is subscribed to as there. */
  restore({ epoch, lanes }: Position, begun: Readonly<Record<string, number>>): void {
    this.#lanes = { ...lanes };
    this.#epoch = epoch;
    this.#kept = begun;
  }

  /** Takes a subscription. What only the server can know of it, the server refuses. */
  subscribe({ id, events, filter, recent }: Wanted): void {
    const fault: [code: string, message: string] | false =
      !events[0] || PATTERNS_MAX < events.length
        ? ["invalid_message", `Name 1 to ${PATTERNS_MAX} event types or patterns`]
        : !isObject(filter) && ["invalid_filter", "`filter` must be an object"];
    if (fault) {
      this.#tell("error", new TidingsError(...fault), id);
      return;
    }
    const key = JSON.stringify([[...new Set(events)].sort(), Object.entries(filter).sort()]);
    // The server gives `recent` with a first subscribe only; one that has been asked for cannot be joined.
    let wire = this.#wires.find((one) => one.key === key && (!recent || !(one.asked || isLive(one))));
    const kept = recent ? undefined : this.#kept[key];
    if (!wire) {
      const interest = { id: `s${this.#next++}`, events, filter };
      wire = { key, interest, asked: false, from: kept, handles: [] };
      this.#wires.push(wire);
    }
    // One that shares another's sees what is above all that is known, since what came before is not told again.
    const above = kept ?? Math.max(wire.from ?? 0, ...Object.values(this.#lanes ?? {}));
    const handle = { id, above, recent };
    wire.handles.push(handle);
    if (isLive(wire)) this.#begin(handle);
  }

  unsubscribe(id: string): void {
    for (const wire of this.#wires) {
      wire.handles = wire.handles.filter((handle) => handle.id !== id);
      if (!wire.handles[0]) this.#drop(wire);
    }
  }

  connected(epoch: string): void {
    this.#current = epoch;
  }

  /** Whether what was to be resumed has been. */
  get follows(): boolean {
    return this.#replay === "done";
  }

  /** The connection is gone, and with it what it knew. */
  disconnected(): void {
    this.#replay = "due";
    this.#unwanted = [];
    for (const wire of this.#wires) wire.asked = false;
  }

  /** The next request: a resume once a connection, where there is something to resume, and then what has changed. */
  next(): { readonly type: string; readonly [field: string]: unknown } | undefined {
    if (this.#replay === "due") {
      this.#kept = {};
      const live = this.#wires.filter(isLive);
      if (live[0]) {
        this.#replay = "asked";
        for (const wire of live) wire.asked = true;
        const subscriptions = live.map(({ from, interest }) => ({ from, ...interest }));
        return { type: "resume", id: "r", since: this.position, subscriptions };
      }
      this.#replay = "done";
      this.#lanes = undefined;
    }
    const unwanted = this.#unwanted.pop();
    if (unwanted) return { type: "unsubscribe", id: unwanted };
    const wire = this.#replay === "done" && this.#wires.find((one) => !one.asked);
    if (!wire) return undefined;
    wire.asked = true;
    const recent = Math.max(...wire.handles.map((handle) => handle.recent));
    return { type: "subscribe", ...wire.interest, recent: Math.min(recent, RECENT_MAX) || undefined };
  }

  /** The server could not serve what `id` names at the moment: it is to be asked again. */
  defer(id: string): void {
    const wire = this.#find(id);
    if (wire) wire.asked = false;
    else this.#unwanted.push(id);
  }

  /** The server has ended a subscription, or not begun it. One that nobody holds any more ends in silence. */
  refused(id: string, error: TidingsError): void {
    const wire = this.#find(id);
    this.#wires = this.#wires.filter((one) => one !== wire);
    for (const handle of wire?.handles ?? []) this.#tell("error", error, handle.id);
  }

  #find(id: string): Wire | undefined {
    return this.#wires.find((wire) => wire.interest.id === id);
  }

  #begin(
    { id, above: offset, recent: most }: Handle,
    recent: readonly OffsetEvent[] = [],
    truncated = false,
  ): void {
    const past = most ? recent.slice(-most) : [];
    const deliveries = past.map((one) => ({ ...one, lane: one.event.priority ?? "normal", recent: true }));
    this.#tell("subscribed", id, { offset, truncated }, deliveries);
  }

  #miss(lane: Lane, after: number | undefined, until: number, reason: Gap["reason"]): void {
    this.#tell("gap", { lane, ...(after !== undefined && { after }), until, reason });
  }

  #drop(wire: Wire): void {
    this.#wires = this.#wires.filter((one) => one !== wire);
    if (wire.asked) this.#unwanted.push(wire.interest.id);
  }

  /** Raises the position of a lane to `offset`: false where it is there already, or there is none. */
  #reach(lane: Lane, offset: number): boolean {
    if (!this.#lanes || whole(offset) <= whole(this.#lanes[lane])) return false;
    this.#lanes[lane] = offset;
    return true;
  }
}

function isLive({ from }: Wire): boolean {
  return from !== undefined;
}
