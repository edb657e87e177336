/**
 * The feed as a list: what has come, newest first, so many of them at most. While it is paused, or pointed at, what
 * comes is kept aside, so that what is being read or clicked does not move.
 */

import type { CloudEvent, Delivery, Gap, Lane } from "../src/types.ts";
import type { PerLane } from "./api.ts";
import { LANES } from "./lanes.ts";

export type AnyDelivery = Delivery<CloudEvent>;

export interface EventRow {
  readonly key: number;
  readonly delivery: AnyDelivery;
  /** Events that were published before it and came after it. */
  readonly overtook: number;
}

export interface GapRow {
  readonly key: number;
  readonly gap: Gap;
}

export type Row = EventRow | GapRow;

export interface Feed {
  readonly rows: readonly Row[];
  /** Whether it stands still: as it was paused, or as long as it is pointed at. */
  readonly still: "paused" | "pointed" | null;
  /** Rows that have come since it stands still. */
  readonly held: number;
  readonly received: PerLane<number>;
  readonly gaps: number;
}

/** Rows that are kept. */
export const ROWS_MAX = 300;

const EMPTY: Feed = {
  rows: [],
  still: null,
  held: 0,
  received: { critical: 0, high: 0, normal: 0, low: 0 },
  gaps: 0,
};

export class FeedList {
  readonly #schedule: (flush: () => void) => void;
  readonly #listeners = new Set<() => void>();
  #feed = EMPTY;
  /** All rows, those held back included, newest first. */
  #rows: Row[] = [];
  /** What has come since the last flush, oldest first. */
  #arrived: Row[] = [];
  #received = { ...EMPTY.received };
  #gaps = 0;
  #paused = false;
  #pointed = false;
  #held = 0;
  #key = 0;
  /** The highest offset so far. */
  #newest = 0;

  /** `schedule` calls a function once, before the next frame. */
  constructor(schedule: (flush: () => void) => void) {
    this.#schedule = schedule;
  }

  readonly get = (): Feed => this.#feed;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly add = (delivery: AnyDelivery): void => {
    this.#received[delivery.lane] += 1;
    this.#arrive({ key: this.#key++, delivery, overtook: 0 });
  };

  readonly addGap = (gap: Gap): void => {
    this.#gaps += 1;
    this.#arrive({ key: this.#key++, gap });
  };

  readonly clear = (): void => {
    this.#rows = [];
    this.#arrived = [];
    this.#received = { ...EMPTY.received };
    this.#gaps = 0;
    this.#held = 0;
    this.#newest = 0;
    this.#show([]);
  };

  readonly setPaused = (paused: boolean): void =>
    this.#hold(() => {
      this.#paused = paused;
    });

  readonly setPointed = (pointed: boolean): void =>
    this.#hold(() => {
      this.#pointed = pointed;
    });

  get #still(): Feed["still"] {
    if (this.#paused) return "paused";
    return this.#pointed ? "pointed" : null;
  }

  /** What is still to be shown in the next frame counts as having come after it was told to stand still. */
  #hold(change: () => void): void {
    const before = this.#still;
    change();
    if (before === null) this.#held = this.#arrived.length;
    if (this.#still === null) this.#held = 0;
    this.#flush();
    this.#show(this.#still === null ? this.#rows : this.#feed.rows);
  }

  #arrive(row: Row): void {
    this.#arrived.push(row);
    if (ROWS_MAX < this.#arrived.length) this.#arrived.shift();
    if (this.#still !== null) this.#held += 1;
    this.#schedule(this.#flush);
  }

  readonly #flush = (): void => {
    if (this.#arrived.length === 0) return;
    for (const row of this.#arrived) {
      if ("delivery" in row) this.#overtake(row.delivery);
      this.#rows.unshift(row);
    }
    this.#arrived = [];
    this.#rows.length = Math.min(this.#rows.length, ROWS_MAX);
    this.#show(this.#still === null ? this.#rows : this.#feed.rows);
  };

  /** What came earlier though it was published later, in a more urgent lane, has overtaken this one. */
  #overtake({ offset, lane, recent }: AnyDelivery): void {
    if (recent) return;
    if (this.#newest < offset) {
      this.#newest = offset;
      return;
    }
    for (const [at, row] of this.#rows.entries()) {
      if (!("delivery" in row) || row.delivery.recent) continue;
      const { offset: other, lane: ahead } = row.delivery;
      if (offset < other && ahead !== lane) this.#rows[at] = { ...row, overtook: row.overtook + 1 };
    }
  }

  #show(rows: readonly Row[]): void {
    this.#feed = {
      rows: [...rows],
      still: this.#still,
      held: this.#held,
      received: { ...this.#received },
      gaps: this.#gaps,
    };
    for (const listener of this.#listeners) listener();
  }
}

/** Whether a row has all the words of a search, wherever in it they stand, and is of a lane that is shown. */
export function shows(row: Row, words: readonly string[], lanes: ReadonlySet<Lane>): boolean {
  if ("gap" in row) return true;
  if (lanes.size < LANES.length && !lanes.has(row.delivery.lane)) return false;
  if (words.length === 0) return true;
  const text = JSON.stringify(row.delivery.event).toLowerCase();
  return words.every((word) => text.includes(word));
}
