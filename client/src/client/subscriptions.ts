/**
 * The application's subscriptions and the server's that carry them: equal ones share one, each sees only what is
 * above its own beginning, and what changes without a connection is told to the next.
 */

import { TidingsError } from "../errors.ts";
import { PATTERNS_MAX, RECENT_MAX } from "./config.ts";
import { matcher, type Routed, type WireFilter } from "./matching.ts";
import type { Fault, OffsetEvent, ResumedSubscription, SubscribedMessage } from "./messages.ts";

/** What the application asks for, under an id of its own. */
export interface Wanted {
  readonly id: string;
  readonly events: readonly string[];
  readonly filter: unknown;
  readonly recent: number;
}

/** A subscription of the application. */
interface Handle {
  readonly id: string;
  /** It sees what is above; without meaning until its wire subscription lives. */
  above: number;
  readonly recent: number;
}

/**
 * How far a subscription of the server has come: to be asked for; deferred, as the server could not serve it at the
 * moment; asked for without an answer; begun and unknown to this connection; begun and known.
 */
type Stage = "unasked" | "deferred" | "asked" | "untold" | "told";

/** A subscription of the server, shared by handles that ask for the same. */
interface Wire {
  readonly id: string;
  /** Equal for what lets through the same. */
  readonly key: string;
  readonly events: readonly string[];
  readonly filter: WireFilter;
  readonly matches: (event: Routed) => boolean;
  stage: Stage;
  /** Where it began. */
  from: number;
  handles: Handle[];
}

/** A subscription of the application that has begun, with what it asked to begin with. */
export interface Begun {
  readonly subscription: string;
  readonly offset: number;
  readonly recent: readonly OffsetEvent[];
}

export interface Ended {
  readonly subscriptions: readonly string[];
  readonly fault: Fault;
}

export class Subscriptions {
  #wires: Wire[] = [];
  /** Ids that this connection knows and nobody wants: to be told, and told without an answer. */
  #unwanted: string[] = [];
  readonly #leaving = new Map<string, "told" | "deferred">();
  #next = 0;

  /**
   * Takes a subscription, or says why not. One that shares another's that has begun sees what is above `newest`, the
   * highest offset that the client knows, since what came before is not told again: then it has begun.
   */
  subscribe({ id, recent, ...wanted }: Wanted, newest: number): Begun | TidingsError | undefined {
    const { events } = wanted;
    if (
      events.length === 0 ||
      PATTERNS_MAX < events.length ||
      events.some((text) => typeof text !== "string")
    ) {
      return new TidingsError(
        "invalid_event_type",
        `Subscribe to 1 to ${PATTERNS_MAX} event types or patterns.`,
      );
    }
    if (!Number.isInteger(recent) || recent < 0 || RECENT_MAX < recent) {
      return new TidingsError("invalid_message", `\`recent\` is a whole number up to ${RECENT_MAX}.`);
    }
    const filter = readFilter(wanted.filter);
    if (filter instanceof TidingsError) return filter;
    const key = keyOf(events, filter);
    // The server gives `recent` with a first subscribe only; one that has been asked for cannot be joined.
    let wire = this.#wires.find((one) => one.key === key && (recent === 0 || isUnasked(one)));
    if (!wire) {
      const matches = matcher(events, filter);
      wire = {
        id: `s${this.#next++}`,
        key,
        events: [...events],
        filter,
        matches,
        stage: "unasked",
        from: 0,
        handles: [],
      };
      this.#wires.push(wire);
    }
    const offset = Math.max(wire.from, newest);
    wire.handles.push({ id, above: offset, recent });
    return isLive(wire) ? { subscription: id, offset, recent: [] } : undefined;
  }

  unsubscribe(id: string): void {
    for (const wire of this.#wires) {
      const others = wire.handles.filter((handle) => handle.id !== id);
      if (others.length === wire.handles.length) continue;
      wire.handles = others;
      if (others.length === 0) this.#drop(wire);
      return;
    }
  }

  get hasLive(): boolean {
    return this.#wires.some(isLive);
  }

  /** The connection is gone, and with it what it knew. */
  disconnected(): void {
    this.#unwanted = [];
    this.#leaving.clear();
    for (const wire of this.#wires) wire.stage = isLive(wire) ? "untold" : "unasked";
  }

  /** What a resume takes along: all that have a beginning. Counts as told. */
  resume(): object[] {
    const live = this.#wires.filter(isLive);
    for (const wire of live) wire.stage = "told";
    return live.map(({ id, from, events, filter }) => ({ id, from, events, filter: present(filter) }));
  }

  nextUnsubscribe(): object | undefined {
    const id = this.#unwanted.pop();
    if (id === undefined) return undefined;
    this.#leaving.set(id, "told");
    return { type: "unsubscribe", id };
  }

  nextSubscribe(): object | undefined {
    const wire = this.#wires.find((one) => one.stage === "unasked");
    if (!wire) return undefined;
    wire.stage = "asked";
    const { id, events, filter, handles } = wire;
    const recent = Math.max(...handles.map((handle) => handle.recent));
    return { type: "subscribe", id, events, filter: present(filter), recent: recent || undefined };
  }

  /**
   * The server has begun a subscription. Where another that lives asks for the same, its handles move over there.
   */
  subscribed({ id, offset, recent }: SubscribedMessage): Begun[] {
    const wire = this.#wires.find((one) => one.id === id && one.stage === "asked");
    if (!wire) return [];
    const begun = wire.handles.map((handle) => {
      handle.above = offset;
      return { subscription: handle.id, offset, recent: handle.recent ? recent.slice(-handle.recent) : [] };
    });
    const twin = this.#wires.find((one) => one.key === wire.key && isLive(one));
    wire.stage = "told";
    wire.from = offset;
    if (twin) {
      twin.handles.push(...wire.handles);
      this.#drop(wire);
    }
    return begun;
  }

  /**
   * The server has taken over what a resume told it; undefined where it says nothing of one, which changes nothing.
   * `anew` where offsets have begun anew, so that what a handle saw before says nothing.
   */
  resumed(answers: readonly ResumedSubscription[], anew: boolean): Ended[] | undefined {
    const byId = new Map(answers.map((answer) => [answer.id, answer]));
    const told = this.#wires.filter((wire) => wire.stage === "told");
    if (told.some(({ id }) => byId.get(id)?.offset === undefined && !byId.get(id)?.fault)) return undefined;
    const ended: Ended[] = [];
    for (const wire of told) {
      const { offset = 0, fault } = byId.get(wire.id) ?? {};
      if (fault) {
        ended.push({ subscriptions: this.refused(wire.id), fault });
        continue;
      }
      wire.from = offset;
      for (const handle of wire.handles) handle.above = anew ? offset : Math.max(handle.above, offset);
    }
    return ended;
  }

  unsubscribed(id: string): void {
    this.#leaving.delete(id);
  }

  /** The server refused what `id` names: the handles that end by it. */
  refused(id: string): readonly string[] {
    this.unsubscribed(id);
    this.#unwanted = this.#unwanted.filter((unwanted) => unwanted !== id);
    const wire = this.#wires.find((one) => one.id === id);
    this.#wires = this.#wires.filter((one) => one !== wire);
    return wire ? wire.handles.map((handle) => handle.id) : [];
  }

  /** The server could not serve what `id` names at the moment: whether it is to be asked again. */
  defer(id: string): boolean {
    if (this.#leaving.has(id)) {
      this.#leaving.set(id, "deferred");
      return true;
    }
    const wire = this.#wires.find((one) => one.id === id && one.stage === "asked");
    if (wire) wire.stage = "deferred";
    return wire !== undefined;
  }

  /** Asks again for what was deferred. */
  flush(): void {
    for (const [id, stage] of this.#leaving) {
      if (stage !== "deferred") continue;
      this.#leaving.delete(id);
      this.#unwanted.push(id);
    }
    for (const wire of this.#wires) if (wire.stage === "deferred") wire.stage = "unasked";
  }

  /** The handles that an event is for. */
  matching({ offset, event }: OffsetEvent): string[] {
    const wires = this.#wires.filter((wire) => isLive(wire) && wire.matches(event));
    return wires.flatMap(({ handles }) => handles.filter(({ above }) => above < offset).map(({ id }) => id));
  }

  #drop(wire: Wire): void {
    this.#wires = this.#wires.filter((one) => one !== wire);
    if (wire.stage === "asked" || wire.stage === "told") this.#unwanted.push(wire.id);
  }
}

function isUnasked({ stage }: Wire): boolean {
  return stage === "unasked" || stage === "deferred";
}

function isLive({ stage }: Wire): boolean {
  return stage === "untold" || stage === "told";
}

/** A copy, without what is undefined. */
function readFilter(filter: unknown): WireFilter | TidingsError {
  try {
    const copy: unknown = JSON.parse(JSON.stringify(filter));
    if (typeof copy === "object" && copy !== null && !Array.isArray(copy)) return copy as WireFilter;
  } catch {
    // What JSON cannot write is no filter either.
  }
  return new TidingsError(
    "invalid_filter",
    "A filter is an object of paths to scalars or arrays of scalars.",
  );
}

/** The order of patterns, of paths and of a path's values means nothing, and a value alone is one of one. */
function keyOf(events: readonly string[], filter: WireFilter): string {
  const paths = Object.entries(filter).map(([path, value]) => {
    const values = [value].flat().map((one) => JSON.stringify(one));
    return [path, values.sort()];
  });
  return JSON.stringify([[...new Set(events)].sort(), paths.sort()]);
}

/** A filter that lets everything through is not written. */
function present(filter: WireFilter): WireFilter | undefined {
  return Object.keys(filter).length === 0 ? undefined : filter;
}
