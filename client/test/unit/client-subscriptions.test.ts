/** What subscriptions are owed and get: position, resume, gaps, sharing (PROTOCOL §3 and §5). One rule a test. */

import { describe, expect, test } from "vitest";
import { restore, toSave } from "../../src/client/persist.ts";
import { event, LANES, lanes, refusal, resumed, Script, welcome } from "../support/script.ts";

const content = { id: "s0", from: 10, events: ["content.*"], filter: {} };

describe("position and resume", () => {
  test("the position is the highest of all that raises it", () => {
    const script = Script.subscribed();
    expect(script.machine.subscriptions.position).toEqual({ epoch: "e1", lanes: lanes(10) });
    script.message(event(12));
    script.message({ type: "gap", lane: "low", after: 10, until: 14, reason: "expired" });
    script.message({ type: "heartbeat", lanes: lanes(13) });
    expect(script.machine.subscriptions.position).toEqual({ epoch: "e1", lanes: lanes(13, { low: 14 }) });
    expect(script.said()).toEqual(["event 12 for [a]", "gap low 10..14 expired"]);
  });

  test("what the position covers is not passed on again", () => {
    const script = Script.subscribed();
    script.message(event(12));
    script.message(event(12));
    script.message(event(11));
    script.message({ type: "gap", lane: "normal", after: 10, until: 12, reason: "expired" });
    expect(script.said()).toEqual(["event 12 for [a]"]);
    script.message(event(11, "low"));
    expect(script.said()).toEqual(["event 11 for [a]"]);
  });

  test("a reconnection resumes every subscription from its own beginning", () => {
    const script = Script.subscribed();
    script.message(event(12));
    script.subscribe("b", ["user.login"], { filter: { userId: "u1" } });
    script.outputs();
    script.message({ type: "subscribed", id: "s1", offset: 13 });
    script.reopen();

    const since = { epoch: "e1", lanes: lanes(10, { normal: 12 }) };
    const login = { id: "s1", from: 13, events: ["user.login"], filter: { userId: "u1" } };
    expect(script.sent()).toEqual([{ type: "resume", id: "r", since, subscriptions: [content, login] }]);

    const answers = [
      { id: "s0", offset: 10 },
      { id: "s1", error: { code: "forbidden", message: "no" } },
    ];
    script.message(resumed(12, answers));
    script.message(event(12));
    script.message(event(13));
    expect(script.said()).toEqual(["b: forbidden", "event 13 for [a]"]);
    script.handle("unsubscribe", "a");
    expect(script.said()).toEqual(["send unsubscribe"]);
  });

  test("a subscription made without a connection is asked for after the resume", () => {
    const script = Script.subscribed();
    script.handle("closed", 1011);
    script.subscribe("b", ["user.login"]);
    script.passToNext();
    script.greet();
    expect(script.sent()).toMatchObject([{ type: "resume", subscriptions: [content] }]);
    script.message(resumed(10, [{ id: "s0", offset: 10 }]));
    expect(script.sent()).toEqual([{ type: "subscribe", id: "s1", events: ["user.login"], filter: {} }]);
  });

  test("a subscription whose answer was lost is asked for again", () => {
    const script = Script.open();
    script.subscribe("a", ["content.*"]);
    expect(script.said()).toEqual(["send subscribe"]);
    script.reopen();
    expect(script.said()).toContain("send subscribe");
  });

  test("a heartbeat before resumed does not skip what the resume asks for", () => {
    const script = Script.subscribed();
    script.reopen();
    script.message({ type: "heartbeat", lanes: lanes(50) });
    expect(script.sent()[0]).toMatchObject({ since: { lanes: lanes(10) } });
    script.message({ type: "heartbeat", lanes: lanes(50) });
    expect(script.machine.subscriptions.position?.lanes).toEqual(lanes(10));
  });

  test("what a resume skips is told as a gap a lane", () => {
    const script = Script.subscribed();
    script.reopen();
    script.outputs();
    const position = { epoch: "e1", lanes: lanes(10, { normal: 90 }) };
    script.message(resumed(0, [{ id: "s0", offset: 10 }], { recovered: false, position }));
    script.message({ type: "gap", lane: "normal", after: 10, until: 90, reason: "expired" });
    script.message(event(91));
    expect(script.said()).toEqual(["gap normal 10..90 expired", "event 91 for [a]"]);
  });

  test.each([
    ["in a new epoch", { epoch: "e2", lanes: lanes(3) }],
    ["in a log that ends below the position", { epoch: "e1", lanes: lanes(3) }],
  ])("%s the beginnings are new and every lane has one gap", (_, position) => {
    const script = Script.subscribed();
    script.reopen();
    script.outputs();
    script.message(resumed(3, [{ id: "s0", offset: 3 }], { recovered: false, position }));
    script.message({ type: "gap", lane: "normal", until: 3, reason: "epoch" });
    script.message(event(4));
    expect(script.said()).toEqual([...LANES.map((lane) => `gap ${lane} ..3 epoch`), "event 4 for [a]"]);
  });

  test("when the last subscription has ended, the next begins the position", () => {
    const script = Script.subscribed();
    script.handle("unsubscribe", "a");
    script.subscribe("b", ["user.login"]);
    script.outputs();
    script.message({ type: "subscribed", id: "s1", offset: 500 });
    expect(script.machine.subscriptions.position).toEqual({ epoch: "e1", lanes: lanes(500) });
  });

  test("a position that nothing needs is not taken into another epoch", () => {
    const script = Script.subscribed();
    script.handle("closed", 1012);
    script.handle("unsubscribe", "a");
    script.subscribe("b", ["user.login"]);
    script.passToNext();
    script.greet(welcome({ epoch: "e2" }));
    expect(script.said()).toEqual(["open", "send subscribe"]);
    script.message({ type: "subscribed", id: "s1", offset: 2 });
    expect(script.machine.subscriptions.position).toEqual({ epoch: "e2", lanes: lanes(2) });
  });
});

describe("what is kept of the page before", () => {
  const saved = { epoch: "e1", lanes: lanes(10, { normal: 12 }), begun: { '[["content.*"],[]]': 7 } };

  test("it is what the page before had", () => {
    const script = Script.subscribed();
    script.subscribe("b", ["user.*"], { filter: { userId: "u1" } });
    expect(toSave(script.machine.subscriptions)).toEqual({
      epoch: "e1",
      lanes: lanes(10),
      begun: { '[["content.*"],[]]': 10 },
    });
  });

  test("who subscribes as there before the first connection goes on from there", () => {
    const script = new Script();
    restore(script.machine.subscriptions, saved);
    script.subscribe("a", ["content.*"]);
    script.start();
    script.greet();
    expect(script.sent()).toEqual([
      {
        type: "resume",
        id: "r",
        since: { epoch: "e1", lanes: saved.lanes },
        subscriptions: [{ ...content, from: 7 }],
      },
    ]);
    script.message(resumed(0, [{ id: "s0", offset: 7 }], { position: { epoch: "e1", lanes: saved.lanes } }));
    script.message(event(12));
    script.message(event(11, "high"));
    expect(script.said()).toEqual(["event 11 for [a]"]);
  });

  test("who comes later begins anew", () => {
    const script = new Script();
    restore(script.machine.subscriptions, saved);
    script.start();
    script.greet();
    script.outputs();
    expect(script.machine.subscriptions.position).toBeNull();
    script.subscribe("a", ["content.*"]);
    expect(script.said()).toEqual(["send subscribe"]);
  });
});

describe("sharing", () => {
  test("equal subscriptions share one, and the last to go ends it", () => {
    const script = Script.open();
    script.subscribe("a", ["content.*", "user.*"], { filter: { n: [1, 2], tags: ["a", "b"] } });
    script.subscribe("b", ["user.*", "content.*", "user.*"], { filter: { tags: ["a", "b"], n: [1, 2.0] } });
    expect(script.said()).toEqual(["send subscribe"]);
    script.message({ type: "subscribed", id: "s0", offset: 0 });
    script.subscribe("c", ["user.*", "content.*"], { filter: { n: [1, 2], tags: ["a", "b"] } });
    script.message(event(1));
    script.message(event(3));
    expect(script.said()).toEqual([
      "a from 0 with []",
      "b from 0 with []",
      "c from 0 with []",
      "event 1 for [a,b,c]",
    ]);

    script.handle("unsubscribe", "a");
    script.handle("unsubscribe", "c");
    expect(script.said()).toEqual([]);
    script.handle("unsubscribe", "b");
    expect(script.sent()).toEqual([{ type: "unsubscribe", id: "s0" }]);
  });

  test("what lets through something else is not shared", () => {
    const script = Script.open();
    const filters = [{}, { n: 1 }, { n: "1" }, { n: null }, { n: [1, 2] }, { m: 1 }];
    for (const [index, filter] of filters.entries())
      script.subscribe(String(index), ["content.*"], { filter });
    script.subscribe("more", ["content.*", "user.*"]);
    expect(script.sent()).toHaveLength(filters.length + 1);
  });

  test("one that joins sees only what comes after all that is known", () => {
    const script = Script.subscribed();
    script.message({ type: "heartbeat", lanes: lanes(10, { critical: 40 }) });
    script.subscribe("b", ["content.*"]);
    script.message(event(40));
    script.message(event(41));
    expect(script.said()).toEqual(["b from 40 with []", "event 40 for [a]", "event 41 for [a,b]"]);
  });

  test("what was never sent is taken back in silence", () => {
    const script = Script.open();
    for (let count = 0; count < 1000; count++) {
      script.subscribe("a", ["*"]);
      script.handle("unsubscribe", "a");
    }
    expect(script.said()).toEqual([]);
  });

  test("one that wants recent events gets the newest of them, and then shares", () => {
    const script = Script.subscribed();
    script.subscribe("b", ["content.*"], { recent: 1 });
    expect(script.sent()).toEqual([
      { type: "subscribe", id: "s1", events: ["content.*"], filter: {}, recent: 1 },
    ]);
    const recent = [11, 12].map((offset) => ({
      offset,
      event: { type: "content.updated", priority: "low" },
    }));
    script.message({ type: "subscribed", id: "s1", offset: 12, recent, truncated: true });
    const [begun, unsubscribe] = script.outputs();
    const past = { offset: 12, event: recent[1]?.event, lane: "low", recent: true };
    expect(begun).toEqual(["subscribed", "b", { offset: 12, truncated: true }, [past]]);
    expect(unsubscribe).toEqual(["send", '{"type":"unsubscribe","id":"s1"}']);

    script.message(event(12));
    script.message(event(13));
    expect(script.said()).toEqual(["event 12 for [a]", "event 13 for [a,b]"]);
  });

  test("two that want recent events ask once for the more of them", () => {
    const script = Script.open();
    script.subscribe("a", ["content.*"], { recent: 1 });
    script.subscribe("b", ["content.*"], { recent: 2 });
    expect(script.sent()).toEqual([
      { type: "subscribe", id: "s0", events: ["content.*"], filter: {}, recent: 2 },
    ]);
    const recent = [1, 2].map((offset) => ({ offset, event: { type: "content.updated" } }));
    script.message({ type: "subscribed", id: "s0", offset: 2, recent });
    expect(script.said()).toEqual(["a from 2 with [2]", "b from 2 with [1,2]"]);
  });
});

describe("refusals", () => {
  test("what the server cannot serve at the moment is asked again, and a refusal is not", () => {
    const script = Script.open();
    script.subscribe("a", ["content.*"]);
    script.outputs();
    script.message(refusal("s0", "unavailable"));
    script.pass(1999);
    expect(script.said()).toEqual([]);
    script.pass(1);
    expect(script.said()).toEqual(["send subscribe"]);
    script.message(refusal("s0", "forbidden"));
    script.pass(10_000);
    expect(script.said()).toEqual(["a: forbidden"]);
  });

  test("an unsubscribe that the server cannot serve at the moment is sent again", () => {
    const script = Script.subscribed();
    script.handle("unsubscribe", "a");
    script.outputs();
    script.message(refusal("s0", "rate_limited"));
    script.pass(2000);
    expect(script.said()).toEqual(["send unsubscribe"]);
    script.message({ type: "unsubscribed", id: "s0" });
    script.pass(10_000);
    expect(script.said()).toEqual([]);
  });

  test("a subscription that a new grant forbids ends", () => {
    const script = Script.subscribed();
    script.message(refusal("s0", "forbidden"));
    script.message(event(11));
    expect(script.said()).toEqual(["a: forbidden"]);
  });

  test.each([0, 65])("one of %i patterns is an error of the caller, and not sent", (count) => {
    const script = Script.open();
    script.subscribe(
      "a",
      Array.from({ length: count }, (_, index) => `a.n${index}`),
    );
    expect(script.said()).toEqual(["a: invalid_message"]);
  });

  test("no more recent events are asked for than a server gives", () => {
    const script = Script.open();
    script.subscribe("a", ["*"], { recent: 201 });
    expect(script.sent()).toMatchObject([{ recent: 200 }]);
  });
});

describe("what is against the protocol", () => {
  test.each([
    "",
    "{",
    "[]",
    "null",
    '"event"',
    "{}",
    '{"type":1}',
    '{"type":"event"}',
    '{"type":"event","offset":-1,"lane":"normal","event":{"type":"a.b"}}',
    '{"type":"event","offset":9007199254740992,"lane":"normal","event":{"type":"a.b"}}',
    '{"type":"event","offset":50,"lane":"slow","event":{"type":"a.b"}}',
    '{"type":"event","offset":50,"lane":"low","event":[]}',
    '{"type":"event","offset":50,"lane":"low","event":{"type":null}}',
    '{"type":"heartbeat","lanes":{"critical":1}}',
    '{"type":"welcome"}',
    '{"type":"welcome","protocol":1,"epoch":"e2","heartbeat":{"timeout":60000}}',
    '{"type":"gap","lane":"low"}',
    '{"type":"subscribed"}',
    '{"type":"resumed"}',
    '{"type":"resumed","recovered":true,"position":{"epoch":"e1","lanes":{"critical":1,"high":1,"normal":1,"low":1}},"subscriptions":[]}',
    '{"type":"published","id":"p0"}',
    '{"type":"reconnect","after":-5}',
  ])("%s is an error and a reconnection", (text) => {
    const script = Script.subscribed();
    script.handle("message", text);
    expect(script.said()).toEqual(["close", "client: protocol", "waiting"]);
    expect(script.machine.subscriptions.position).toEqual({ epoch: "e1", lanes: lanes(10) });
  });

  test("a resumed that nobody asked for is one, and changes nothing", () => {
    const script = Script.subscribed();
    script.message(resumed(20, [{ id: "s0", offset: 10 }]));
    expect(script.said()).toEqual(["close", "client: protocol", "waiting"]);
    expect(script.machine.subscriptions.position?.lanes).toEqual(lanes(10));
  });

  test("an event before resumed is one", () => {
    const script = Script.subscribed();
    script.reopen();
    script.outputs();
    script.message(event(11));
    expect(script.said()[0]).toBe("close");
  });

  test("what it does not know is ignored", () => {
    const script = Script.subscribed();
    script.message({ type: "novelty", x: 1 });
    script.message({ type: "constructor" });
    script.message({ type: "unsubscribed", id: "s9" });
    script.message({ type: "subscribed", id: "s9", offset: 1 });
    script.message({ type: "published", id: "p9", eventId: "x", offset: 7 });
    script.message({ type: "authenticated" });
    expect(script.said()).toEqual([]);
    expect(script.machine.state).toBe("open");
  });

  test("a refused resume is told, and tried again on another connection", () => {
    const script = Script.subscribed();
    script.reopen();
    script.outputs();
    script.message(refusal("r", "internal"));
    expect(script.said()).toEqual(["close", "client: internal", "waiting"]);
  });
});
