/** The client routes events as the server does: the vectors that every implementation reads (PROTOCOL §3). */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { matches, type Routed, type WireFilter } from "../../src/client/matching.ts";

interface Vectors {
  readonly events: readonly Routed[];
  readonly cases: readonly {
    readonly events: readonly string[];
    readonly filter: WireFilter;
    readonly matches: readonly number[];
  }[];
  readonly notPatterns: readonly string[];
}

const path = new URL("../../../core/tests/fixtures/routing.json", import.meta.url);
const vectors: Vectors = JSON.parse(readFileSync(path, "utf8"));

test.each(vectors.cases)(
  "$events with $filter lets through $matches",
  ({ events, filter, matches: expected }) => {
    const found = vectors.events.flatMap((event, index) => (matches(events, filter, event) ? [index] : []));
    expect(found).toEqual(expected);
  },
);

test.each(vectors.notPatterns)("%j is no pattern and lets nothing through", (pattern) => {
  expect(vectors.events.filter((event) => matches([pattern], {}, event))).toEqual([]);
});

test("what an object has from its prototype is not in the data", () => {
  expect(matches(["*"], { "constructor.name": "Object" }, { type: "a.b", data: {} })).toBe(false);
});
