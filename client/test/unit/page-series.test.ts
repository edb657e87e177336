/** That what the live page's charts and tiles show is what the server counted. */

import { describe, expect, test } from "vitest";
import { SAMPLES_MAX, Samples } from "../../page/series.ts";
import type { ServerStats } from "../../src/emitter/api.ts";

const NOTHING = {
  epoch: "e1",
  uptimeMs: 0,
  published: {},
  latency: { sumUs: 0, boundsUs: [50, 1_000, null], counts: [0, 0, 0] },
} as unknown as ServerStats;

function samples(...all: Partial<ServerStats>[]): Samples {
  return all.reduce<Samples>((samples, stats) => samples.add({ ...NOTHING, ...stats }), new Samples());
}

describe("rates", () => {
  test("are by the server's clock, and the first sample has none", () => {
    const rates = samples(
      { uptimeMs: 1_000, offset: 10 },
      { uptimeMs: 2_000, offset: 30 },
      { uptimeMs: 4_000, offset: 40 },
    ).rates(({ offset }) => offset);
    expect(rates).toEqual([null, 20, 5]);
  });

  test("begin anew with a server that does", () => {
    expect(samples({ uptimeMs: 9_000 }, { uptimeMs: 1_000 }).all).toHaveLength(1);
    expect(samples({ uptimeMs: 1_000 }, { uptimeMs: 2_000, epoch: "e2" }).all).toHaveLength(1);
  });

  test("are of the last five minutes", () => {
    const all = samples(
      ...Array.from({ length: SAMPLES_MAX + 10 }, (_, second) => ({ uptimeMs: second * 1_000 })),
    );
    expect(all.times).toHaveLength(SAMPLES_MAX);
    expect([all.times[0], all.times.at(-1)]).toEqual([1 - SAMPLES_MAX, 0]);
  });

  test("are of each lane, whatever the types in it", () => {
    const lines = samples(
      { uptimeMs: 0, published: {} },
      { uptimeMs: 1_000, published: { "a.b": { low: 2, critical: 1 }, "a.c": { low: 3 } } },
    ).byLane(({ published }) => published);
    expect(lines.map(({ name, values }) => [name, values.at(-1)])).toEqual([
      ["critical", 1],
      ["high", 0],
      ["normal", 0],
      ["low", 5],
    ]);
  });

  test("are of the types there was most of, and of all others together", () => {
    const counts = (of: (number: number) => number) =>
      Object.fromEntries(Array.from({ length: 9 }, (_, number) => [`t.${number}`, { low: of(number) }]));
    const lines = samples(
      { uptimeMs: 0, published: counts(() => 100) },
      // The last has not come of late.
      { uptimeMs: 1_000, published: counts((number) => (number === 8 ? 100 : 101 + number)) },
    ).byType(({ published }) => published);
    expect(lines.map(({ name, values }) => [name, values.at(-1)])).toEqual([
      ["t.7", 8],
      ["t.6", 7],
      ["t.5", 6],
      ["t.4", 5],
      ["t.3", 4],
      ["t.2", 3],
      ["others", 1 + 2],
    ]);
  });
});

describe("the latency", () => {
  const latency = (...counts: number[][]) =>
    samples(
      ...counts.map((counts, second) => ({
        uptimeMs: second * 1_000,
        latency: { sumUs: 0, boundsUs: [50, 1_000, null], counts },
      })),
    ).latency(0.99, 10);

  test("is the bound that so great a part of the last deliveries kept", () => {
    expect(latency([0, 0, 0], [99, 100, 100])).toEqual({ micros: 50, isBound: true });
    expect(latency([0, 0, 0], [98, 100, 100])).toEqual({ micros: 1_000, isBound: true });
  });

  test("is above the longest bound where that was not kept", () => {
    expect(latency([0, 0, 0], [0, 50, 100])).toEqual({ micros: 1_000, isBound: false });
  });

  test("is of what was delivered of late, and is none where nothing was", () => {
    expect(latency([0, 100, 100], [100, 200, 200])).toEqual({ micros: 50, isBound: true });
    expect(latency([5, 5, 5], [5, 5, 5])).toBeUndefined();
  });
});
