/** The emitter against the protocol's vectors: what it finds wrong with an event is what the server finds. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Fault } from "../../src/emitter/index.ts";
import { faultsOf } from "../../src/emitter/validate.ts";

interface Vector {
  readonly event: Readonly<Record<string, unknown>>;
  readonly faults: readonly Fault[];
}

const file = new URL("../../../core/tests/fixtures/protocol.json", import.meta.url);
const { events } = JSON.parse(readFileSync(file, "utf8")) as { events: readonly Vector[] };

function byPath(faults: readonly Fault[]) {
  return faults.toSorted((a, b) => a.path.localeCompare(b.path));
}

test.each(events)("$event", ({ event, faults }) => {
  expect(byPath(faultsOf(event))).toEqual(byPath(faults));
});
