/** That the live page's form asks for what a schema asks for, and says what is wrong in the server's words. */

import { expect, test } from "vitest";
import { burst, exampleOf } from "../../page/examples.ts";
import { type EventForm, type EventSchema, faultsAt, formsOf, readEntered } from "../../page/schema.ts";

const SCHEMA: EventSchema = {
  oneOf: [
    { title: "shop.ordered", "x-priority": "high" },
    { title: "shop.raw", "x-priority": "low" },
  ],
  $defs: {
    "shop.ordered": {
      description: "Somebody ordered.",
      required: ["orderId", "status", "orderedAt", "total", "lines", "paid"],
      properties: {
        lines: { type: "array" },
        note: { type: ["string", "object", "null"] },
        orderedAt: { type: "string", format: "date-time" },
        orderId: { type: "string", description: "Names the order." },
        paid: { type: "boolean" },
        size: { type: ["string", "number", "null"] },
        status: { enum: ["open", "done"] },
        tags: { type: ["array", "null"], items: { type: "string" } } as object,
        total: { type: "number" },
      },
    },
    "shop.raw": { description: "Anything." },
  },
};

const [ordered, raw] = formsOf(SCHEMA) as [EventForm, EventForm];
const ENTERED = {
  orderId: "o1",
  status: "open",
  orderedAt: "2026-01-31T08:09:10Z",
  total: "9.5",
  lines: "[1]",
  paid: "true",
};

test("a form has the required fields first, each entered by its kind", () => {
  expect(ordered.fields.map(({ name, required, entry }) => `${name}${required ? "" : "?"} ${entry}`)).toEqual(
    [
      "orderId text",
      "status choice",
      "orderedAt time",
      "total number",
      "lines json",
      "paid boolean",
      "note? text",
      "size? json",
      "tags? list",
    ],
  );
  expect([ordered.priority, ordered.description]).toEqual(["high", "Somebody ordered."]);
  expect(raw.fields).toEqual([]);
});

test("what is entered becomes data of the fields' types, and what is empty is left out", () => {
  const { data, faults } = readEntered(ordered, { ...ENTERED, tags: "a, b,,", size: "XL", note: " " });
  expect(faults).toEqual([]);
  expect(data).toEqual({
    orderId: "o1",
    status: "open",
    orderedAt: "2026-01-31T08:09:10Z",
    total: 9.5,
    lines: [1],
    paid: true,
    tags: ["a", "b"],
    size: "XL",
  });
});

test.each([
  ["orderId", " ", "is required"],
  ["status", "lost", "must be one of open, done"],
  ["orderedAt", "yesterday", "must be an RFC 3339 timestamp, as in 2026-01-31T08:09:10Z"],
  ["total", "a lot", "must be a number"],
  ["lines", '{"a":1}', "must be an array"],
  ["lines", "[1", "must be an array"],
  ["paid", "maybe", "must be true or false"],
  ["size", "[1]", "must be a string or a number"],
])("%s of %j %s", (name, text, message) => {
  const { faults } = readEntered(ordered, { ...ENTERED, [name]: text });
  expect(faults).toEqual([{ path: `$.data.${name}`, message }]);
});

test("a field has the faults within it, and none of a field whose name begins alike", () => {
  const faults = ["$.data.tag", "$.data.tags", "$.data.tags[0]", "$.data.tags.a"].map((path) => ({
    path,
    message: "",
  }));
  expect(faultsAt(faults, "tags").map(({ path }) => path)).toEqual([
    "$.data.tags",
    "$.data.tags[0]",
    "$.data.tags.a",
  ]);
});

test("an example fits its form, and differs by its number", () => {
  const now = new Date("2026-01-31T08:09:10Z");
  for (const number of [0, 1, 7, 1_000]) {
    expect(readEntered(ordered, exampleOf(ordered, number, now)).faults).toEqual([]);
  }
  expect(exampleOf(ordered, 1, now)).not.toEqual(exampleOf(ordered, 2, now));
  expect(exampleOf(ordered, 1, now)).toEqual(exampleOf(ordered, 1, now));
});

test("a burst takes its types in turn", () => {
  const types = burst([ordered, raw], 5).map(({ type }) => type);
  expect(types).toEqual(["shop.ordered", "shop.raw", "shop.ordered", "shop.raw", "shop.ordered"]);
});
