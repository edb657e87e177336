/**
 * What the charts and tiles show, from the server's counts: a count of events is turned into a rate by the server's
 * own clock. A server that starts anew begins anew here.
 */

import type { ServerStats, TypeCounts } from "../src/emitter/api.ts";
import type { PerLane } from "./api.ts";
import { LANES } from "./lanes.ts";

/** Samples kept: five minutes, one a second. */
export const SAMPLES_MAX = 300;

/** Types that a chart has lines for; all others are one line. */
const TYPES_SHOWN = 6;

export interface Line {
  readonly name: string;
  readonly values: readonly (number | null)[];
}

/** The samples of the last minutes, oldest first. Never changed: `add` gives new ones. */
export class Samples {
  readonly all: readonly ServerStats[];

  constructor(all: readonly ServerStats[] = []) {
    this.all = all;
  }

  add(stats: ServerStats): Samples {
    const last = this.all.at(-1);
    if (last !== undefined && (stats.epoch !== last.epoch || stats.uptimeMs < last.uptimeMs))
      return new Samples([stats]);
    return new Samples([...this.all, stats].slice(-SAMPLES_MAX));
  }

  get last(): ServerStats | undefined {
    return this.all.at(-1);
  }

  /** Seconds before the last sample, as in -299 to 0. */
  get times(): number[] {
    const end = this.last?.uptimeMs ?? 0;
    return this.all.map((stats) => Math.round((stats.uptimeMs - end) / 1_000));
  }

  /** A second's growth of a count, from each sample to the next; the first has none. */
  rates(count: (stats: ServerStats) => number): (number | null)[] {
    return this.all.map((stats, at) => {
      const before = this.all[at - 1];
      if (before === undefined) return null;
      const seconds = Math.max(stats.uptimeMs - before.uptimeMs, 1) / 1_000;
      return (count(stats) - count(before)) / seconds;
    });
  }

  values(value: (stats: ServerStats) => number): number[] {
    return this.all.map(value);
  }

  byLane(counts: (stats: ServerStats) => TypeCounts): Line[] {
    return LANES.map((lane) => ({ name: lane, values: this.rates((stats) => ofLane(counts(stats), lane)) }));
  }

  /** A line for each of the types that there was most of of late, most first, and one for all others. */
  byType(counts: (stats: ServerStats) => TypeCounts): Line[] {
    const [first, last] = [this.all[0], this.last];
    if (first === undefined || last === undefined) return [];
    const grown = (type: string) => ofType(counts(last), type) - ofType(counts(first), type);
    const types = Object.keys(counts(last)).filter((type) => 0 < grown(type));
    types.sort((a, b) => grown(b) - grown(a) || a.localeCompare(b));
    const line = (name: string, of: readonly string[]): Line => ({
      name,
      values: this.rates((stats) => of.reduce((sum, type) => sum + ofType(counts(stats), type), 0)),
    });
    const lines = types.slice(0, TYPES_SHOWN).map((type) => line(type, [type]));
    const others = types.slice(TYPES_SHOWN);
    return others.length === 0 ? lines : [...lines, line("others", others)];
  }

  /** The time that so great a part of the last `seconds` deliveries took at most, in µs; none where there were none. */
  latency(part: number, seconds: number): { readonly micros: number; readonly isBound: boolean } | undefined {
    const last = this.last;
    if (last === undefined) return undefined;
    const from = this.all.find((stats) => last.uptimeMs - stats.uptimeMs <= seconds * 1_000) ?? last;
    const counts = last.latency.counts.map((count, at) => count - (from.latency.counts[at] ?? 0));
    const all = counts.at(-1) ?? 0;
    if (all === 0) return undefined;
    const place = counts.findIndex((count) => part * all <= count);
    const bound = last.latency.boundsUs[place];
    const longest = last.latency.boundsUs.findLast((other) => other !== null) ?? 0;
    return bound == null ? { micros: longest, isBound: false } : { micros: bound, isBound: true };
  }
}

function ofType(counts: TypeCounts, type: string): number {
  return Object.values(counts[type] ?? {}).reduce((sum, count) => sum + count, 0);
}

function ofLane(counts: TypeCounts, lane: keyof PerLane<number>): number {
  return Object.values(counts).reduce((sum, lanes) => sum + (lanes[lane] ?? 0), 0);
}
