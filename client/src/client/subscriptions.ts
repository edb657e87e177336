/**
 * The application's subscriptions and the server's that carry them, and up to where they have got everything.
 *
 * Equal ones share one of the server's, each sees only what is above its own beginning, and what changes without a
 * connection is told to the next. The position moves by the rules of PROTOCOL §5: an event is passed on once, and
 * what is missing is told as a gap.
 */

import { TidingsError } from "../errors.ts";
import type { Gap, Position } from "../types.ts";
import { PATTERNS_MAX, RECENT_MAX } from "./config.ts";
import type { Output, Wanted } from "./io.ts";
import { matcher, type Routed, type WireFilter } from "./matching.ts";
import {
  BadMessage,
  type Fault,
  isObject,
  LANES,
  type OffsetEvent,
  type ServerMessages,
} from "./messages.ts";

/** A subscription of the application. */
interface Handle {
  readonly id: string;
  /** It sees what is above; without meaning until its wire subscription has begun. */
  above: number;
  readonly recent: number;
}

/** A subscription of the server, shared by handles that ask for the same. */
interface Wire {
  readonly id: string;
  /** Equal for what lets through the same. */
  readonly key: string;
  readonly events: readonly string[];
  readonly filter: WireFilter | undefined;
  readonly matches: (event: Routed) => boolean;
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
  #next = 0;
  #position: Position | null = null;
  /** On this connection: to be resumed where there is something to resume; `resumed` must come; live. */
  #replay: "due" | "asked" | "done" = "due";

  constructor(tell: (...output: Output) => void) {
    this.#tell = tell;
  }

  /** Up to where everything has arrived; none without a subscription that has begun. */
  get position(): Position | null {
    return this.#position;
  }

  /** Takes a subscription. Throws where it is none. */
  subscribe({ id, events, filter: given, recent }: Wanted): void {
    if (
      !(
        0 < events.length &&
        events.length <= PATTERNS_MAX &&
        events.every((text) => typeof text === "string")
      )
    ) {
      throw new TidingsError("invalid_event_type", `Subscribe to 1 to ${PATTERNS_MAX} types or patterns`);
    }
    if (!(Number.isInteger(recent) && 0 <= recent && recent <= RECENT_MAX)) {
      throw new TidingsError("invalid_message", `\`recent\` is 0 to ${RECENT_MAX}`);
    }
    const filter = readFilter(given);
    const key = keyOf(events, filter);
    // The server gives `recent` with a first subscribe only; one that has been asked for cannot be joined.
    let wire = this.#wires.find((one) => one.key === key && (!recent || !(one.asked || isLive(one))));
    if (!wire) {
      const matches = matcher(events, filter);
      const written = { events: [...events], filter: Object.keys(filter)[0] ? filter : undefined };
      wire = { id: `s${this.#next++}`, key, ...written, matches, asked: false, from: undefined, handles: [] };
      this.#wires.push(wire);
    }
    // One that shares another's sees what is above all that is known, since what came before is not told again.
    const handle = {
      id,
      above: Math.max(wire.from ?? 0, ...Object.values(this.#position?.lanes ?? {})),
      recent,
    };
    wire.handles.push(handle);
    if (isLive(wire)) this.#begin(handle);
  }

  unsubscribe(id: string): void {
    for (const wire of this.#wires) {
      wire.handles = wire.handles.filter((handle) => handle.id !== id);
      if (!wire.handles[0]) this.#drop(wire);
    }
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
      const live = this.#wires.filter(isLive);
      if (this.#position && live[0]) {
        this.#replay = "asked";
        for (const wire of live) wire.asked = true;
        const subscriptions = live.map(({ id, from, events, filter }) => ({ id, from, events, filter }));
        return { type: "resume", id: "r", since: this.#position, subscriptions };
      }
      this.#replay = "done";
      this.#position = null;
    }
    const unwanted = this.#unwanted.pop();
    if (unwanted) return { type: "unsubscribe", id: unwanted };
    const wire = this.#replay === "done" && this.#wires.find((one) => !one.asked);
    if (!wire) return undefined;
    wire.asked = true;
    const { id, events, filter, handles } = wire;
    const recent = Math.max(...handles.map((handle) => handle.recent)) || undefined;
    return { type: "subscribe", id, events, filter, recent };
  }

  /** The server could not serve what `id` names at the moment: it is to be asked again. */
  defer(id: string): void {
    const wire = this.#find(id);
    if (wire) wire.asked = false;
    else this.#unwanted.push(id);
  }

  /** The server has ended a subscription, or not begun it. One that nobody holds any more ends in silence. */
  refused(id: string, { code, message, details }: Fault): void {
    const wire = this.#find(id);
    this.#wires = this.#wires.filter((one) => one !== wire);
    const error = new TidingsError(code, message ?? "", { details });
    for (const handle of wire?.handles ?? []) this.#tell("error", error, { subscription: handle.id });
  }

  /** The server has begun a subscription. Where another that lives asks for the same, its handles move over there. */
  subscribed({ id, offset, recent = [], truncated }: ServerMessages["subscribed"], epoch: string): void {
    const wire = this.#find(id);
    if (!wire?.asked || isLive(wire)) return;
    if (!this.#wires.some(isLive)) {
      // What ended before is owed to nobody, so the beginning of the only one is the position.
      this.#position = {
        epoch,
        lanes: everyLane((lane) => Math.max(this.#position?.lanes[lane] ?? 0, offset)),
      };
    }
    const twin = this.#wires.find((one) => one.key === wire.key && isLive(one));
    wire.from = offset;
    for (const handle of wire.handles) {
      handle.above = offset;
      this.#begin(handle, recent, truncated);
      twin?.handles.push(handle);
    }
    if (twin) this.#drop(wire);
  }

  /**
   * Adopts the server's position. What that skips is told here as gaps, because the connection may break before the
   * server's own come, and the next resume would no longer ask for them.
   */
  resumed({ recovered, position, subscriptions }: ServerMessages["resumed"]): void {
    const old = this.#position;
    const isAnswered = ({ id }: Wire) =>
      subscriptions.some((one) => one.id === id && (one.error ?? one.offset) !== undefined);
    if (!old || this.#replay !== "asked" || !this.#wires.every((wire) => !wire.asked || isAnswered(wire))) {
      throw new BadMessage("it does not answer the resume");
    }
    // A server whose log ends below the position has begun anew even where its epoch is the same.
    const anew = old.epoch !== position.epoch || LANES.some((lane) => position.lanes[lane] < old.lanes[lane]);
    this.#replay = "done";
    this.#position = position;
    for (const lane of LANES) {
      const after = old.lanes[lane];
      const until = position.lanes[lane];
      if (anew) this.#tell("gap", { lane, until, reason: "epoch" });
      else if (!recovered && after < until) this.#tell("gap", { lane, after, until, reason: "expired" });
    }
    for (const { id, offset = 0, error } of subscriptions) {
      if (error) this.refused(id, error);
      const wire = this.#find(id);
      if (!wire) continue;
      wire.from = offset;
      // Where offsets have begun anew, what a handle saw before says nothing.
      for (const handle of wire.handles) handle.above = Math.max(anew ? 0 : handle.above, offset);
    }
  }

  event({ offset, lane, event }: ServerMessages["event"]): void {
    if (this.#replay !== "done") throw new BadMessage("it comes before resumed");
    // Without a position nothing is subscribed; what comes was for a subscription that has ended.
    if (!this.#position || offset <= this.#position.lanes[lane]) return;
    this.#raise({ [lane]: offset });
    const wires = this.#wires.filter((wire) => isLive(wire) && wire.matches(event));
    const handles = wires.flatMap((wire) => wire.handles).filter(({ above }) => above < offset);
    if (handles[0])
      this.#tell(
        "event",
        { event, offset, lane, recent: false },
        handles.map(({ id }) => id),
      );
  }

  /**
   * Before `resumed` a heartbeat speaks of a connection without subscriptions, to which nothing is owed: taking its
   * offsets would skip what the resume is about to ask for.
   */
  heartbeat({ lanes }: ServerMessages["heartbeat"]): void {
    if (this.#replay === "done") this.#raise(lanes);
  }

  /** A gap that the position covers has been told by `resumed`. */
  gap({ lane, after, until, reason }: Gap): void {
    if (!this.#position || (this.#replay === "done" && until <= this.#position.lanes[lane])) return;
    if (this.#replay === "done") this.#raise({ [lane]: until });
    this.#tell("gap", { lane, ...(after !== undefined && { after }), until, reason });
  }

  #find(id: string): Wire | undefined {
    return this.#wires.find((wire) => wire.id === id);
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

  #drop(wire: Wire): void {
    this.#wires = this.#wires.filter((one) => one !== wire);
    if (wire.asked) this.#unwanted.push(wire.id);
  }

  /** Raises lanes of the position to offsets that have been reached. */
  #raise(offsets: Partial<Position["lanes"]>): void {
    if (!this.#position) return;
    const { epoch, lanes } = this.#position;
    this.#position = { epoch, lanes: everyLane((lane) => Math.max(lanes[lane], offsets[lane] ?? 0)) };
  }
}

function isLive({ from }: Wire): boolean {
  return from !== undefined;
}

function everyLane(of: (lane: keyof Position["lanes"]) => number): Position["lanes"] {
  return Object.fromEntries(LANES.map((lane) => [lane, of(lane)])) as Record<keyof Position["lanes"], number>;
}

/** A copy, without what is undefined. Throws where JSON cannot write it. */
function readFilter(filter: unknown): WireFilter {
  const copy: unknown = JSON.parse(JSON.stringify(filter));
  if (isObject(copy)) return copy;
  throw new TidingsError("invalid_filter", "A filter is an object of paths to scalars or arrays of scalars");
}

/** The order of patterns, of paths and of a path's values means nothing, and a value alone is one of one. */
function keyOf(events: readonly string[], filter: WireFilter): string {
  const paths = Object.entries(filter).map(([path, value]) => {
    return [
      path,
      [value]
        .flat()
        .map((one) => JSON.stringify(one))
        .sort(),
    ];
  });
  return JSON.stringify([[...new Set(events)].sort(), paths.sort()]);
}
