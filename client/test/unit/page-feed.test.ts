/** That the live page's feed shows what came, in the order in which it came, and holds still when asked to. */

import { beforeEach, describe, expect, test } from "vitest";
import { type AnyDelivery, FeedList, ROWS_MAX, shows } from "../../page/feed-list.ts";
import { readFilter, readTypes } from "../../page/interest.ts";
import { LANES } from "../../page/lanes.ts";
import type { Lane } from "../../src/types.ts";

let frame: (() => void) | undefined;
let list: FeedList;
beforeEach(() => {
  frame = undefined;
  list = new FeedList((flush) => {
    frame = flush;
  });
});

function arrive(lane: Lane, offset: number, recent = false): void {
  const event = {
    specversion: "1.0",
    id: `i${offset}`,
    source: "/",
    type: "a.b",
    time: "",
    priority: lane,
    data: {},
  } as const;
  list.add({ event, lane, offset, recent });
}

function offsets(): (number | undefined)[] {
  return list.get().rows.map((row) => ("delivery" in row ? row.delivery.offset : undefined));
}

test("rows come once a frame, newest first", () => {
  arrive("low", 1);
  arrive("low", 2);
  expect(offsets()).toEqual([]);

  frame?.();

  expect(offsets()).toEqual([2, 1]);
});

test("only so many are kept, and all are counted", () => {
  for (let offset = 1; offset <= ROWS_MAX + 5; offset += 1) arrive("normal", offset);
  frame?.();

  expect(list.get().rows).toHaveLength(ROWS_MAX);
  expect(list.get().received.normal).toBe(ROWS_MAX + 5);
});

test("while it is paused it says how many have come, and shows them afterwards", () => {
  arrive("low", 1);
  frame?.();
  list.setPaused(true);
  arrive("low", 2);
  arrive("low", 3);
  frame?.();
  expect([offsets(), list.get().still, list.get().held]).toEqual([[1], "paused", 2]);

  list.setPaused(false);

  expect([offsets(), list.get().still, list.get().held]).toEqual([[3, 2, 1], null, 0]);
});

test("while it is pointed at it holds still, and stays so where it was paused meanwhile", () => {
  arrive("low", 1);
  list.setPointed(true);
  arrive("low", 2);
  frame?.();
  expect([offsets(), list.get().still, list.get().held]).toEqual([[], "pointed", 2]);

  list.setPaused(true);
  list.setPointed(false);
  expect([offsets(), list.get().still, list.get().held]).toEqual([[], "paused", 2]);
  list.setPaused(false);

  expect([offsets(), list.get().still, list.get().held]).toEqual([[2, 1], null, 0]);
});

test("an event has overtaken those of other lanes that were published before it and come after it", () => {
  for (const offset of [1, 2, 3]) arrive("low", offset, true);
  arrive("critical", 9);
  arrive("low", 4);
  arrive("low", 5);
  arrive("critical", 7);
  arrive("low", 10);
  frame?.();

  const overtook = list
    .get()
    .rows.flatMap((row) => ("delivery" in row && row.overtook ? [[row.delivery.offset, row.overtook]] : []));
  expect(overtook).toEqual([[9, 2]]);
});

test("a gap stands among the events, and clearing forgets everything", () => {
  arrive("low", 1);
  list.addGap({ lane: "low", after: 1, until: 5, reason: "expired" });
  frame?.();
  expect([offsets(), list.get().gaps]).toEqual([[undefined, 1], 1]);

  list.clear();

  expect([list.get().rows, list.get().gaps, list.get().received.low]).toEqual([[], 0, 0]);
});

describe("a row is shown", () => {
  const shown = (words: string[], lanes: Lane[] = [...LANES]) => {
    const event = { type: "user.login", data: { userId: "Ada" } } as unknown as AnyDelivery["event"];
    return shows(
      { key: 1, overtook: 0, delivery: { event, lane: "high", offset: 1, recent: false } },
      words,
      new Set(lanes),
    );
  };

  test("where it has all words of the search", () => {
    expect([shown([]), shown(["ada"]), shown(["ada", "login"]), shown(["ada", "logout"])]).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });

  test("where its lane is", () => {
    expect([shown([], ["high"]), shown([], ["low"])]).toEqual([true, false]);
  });
});

describe("what is typed", () => {
  test("as types may have commas or spaces between", () => {
    expect(readTypes(" content.*, user.login\nsystem.error")).toEqual([
      "content.*",
      "user.login",
      "system.error",
    ]);
    expect(() => readTypes(" , ")).toThrow("Name at least one type");
  });

  test("as a filter is pairs or JSON, and values are what JSON says, or texts", () => {
    expect(readFilter('n=1 ok=true of=null name=Ada quoted="1" list=[1]')).toEqual({
      n: 1,
      ok: true,
      of: null,
      name: "Ada",
      quoted: "1",
      list: "[1]",
    });
    expect(readFilter('{"status":["a","b"]}')).toEqual({ status: ["a", "b"] });
    expect(readFilter(" ")).toEqual({});
  });

  test("and is neither is said to be so", () => {
    expect(() => readFilter("status")).toThrow("“status” is not of the form path=value.");
    expect(() => readFilter('{"a":')).toThrow("That is no JSON");
  });
});
