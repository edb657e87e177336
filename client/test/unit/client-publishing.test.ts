/** Publishing over the connection: in order, bounded, once (PROTOCOL §3 and §6). One rule a test. */

import { expect, test } from "vitest";
import { published, refusal, Script } from "../support/script.ts";

function publish(script: Script, count: number): void {
  for (let number = 0; number < count; number++)
    script.handle("publish", `e${number}`, { id: `${number}`, type: "a.b" });
}

test("a publish is repeated with the same event id until it is answered", () => {
  const script = new Script();
  publish(script, 1);
  script.start();
  script.greet();
  const first = script.sent();
  expect(first).toEqual([{ type: "publish", id: "p0", event: { id: "0", type: "a.b" } }]);
  script.reopen();
  expect(script.sent()).toEqual(first);
  script.message({ ...published("p0"), duplicate: true });
  expect(script.said()).toEqual(["published e0 at 7 again"]);
  script.reopen();
  expect(script.sent()).toEqual([]);
});

test("publishes in flight are bounded and keep their order", () => {
  const script = Script.open();
  publish(script, 10);
  const ids = () => script.sent().map(({ id }) => id);
  expect(ids()).toEqual(["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"]);
  script.message(published("p0"));
  expect(ids()).toEqual(["p8"]);
});

test("a server that cannot keep up gets one at a time", () => {
  const script = Script.open();
  publish(script, 3);
  expect(script.said()).toEqual(["send publish", "send publish", "send publish"]);
  publish(script, 1);
  expect(script.said()).toEqual(["send publish"]);

  script.message(refusal("p0", "rate_limited"));
  script.message(refusal("p1", "unavailable"));
  expect(script.said()).toEqual([]);
  script.pass(2000);
  expect(script.said(), "others are under way").toEqual([]);
  script.message(published("p2"));
  expect(script.said()).toEqual(["published e2 at 7"]);
  script.message(published("p3"));
  expect(script.said()).toEqual(["published e0 at 7", "send publish"]);
  script.message(published("p0"));
  expect(script.said()).toEqual(["published e0 at 7", "send publish"]);
});

test("a refusal that is final is told, with what the server says of it", () => {
  const script = Script.open();
  publish(script, 1);
  script.outputs();
  const details = [{ path: "$.data.title", message: "is required" }];
  script.message({ type: "error", id: "p0", code: "invalid_event", message: "1 fault", details });
  const [error] = script.outputs();
  expect(error).toEqual(["error", expect.objectContaining({ code: "invalid_event", details }), "e0"]);
});

test("what the application wants at once is sent no faster than the server takes it", () => {
  const script = Script.open();
  publish(script, 256);
  const sent: number[] = [];
  while (sent.length < 256) {
    const messages = script.sent();
    if (messages.length === 0) script.pass(10);
    for (const message of messages) {
      sent.push(script.millis);
      script.message(published(String(message.id)));
    }
  }
  expect(
    sent.filter((at) => at === 0),
    "a hundred at once",
  ).toHaveLength(100);
  expect(sent.at(-1), "and then a hundred a second").toBe(1560);
});

test("a full queue is an error of the caller", () => {
  const script = Script.open();
  publish(script, 257);
  expect(script.said().filter((said) => said !== "send publish")).toEqual(["e256: overflow"]);
});

test.each([
  ["too large", { data: "é".repeat(32_768) }],
  ["not writable as JSON", { data: 1n }],
])("an event that is %s is an error of the caller", (_, event) => {
  const script = Script.open();
  script.handle("publish", "e", event);
  expect(script.said()).toEqual(["e: invalid_event"]);
});

test("one that nobody waits for any more is not sent, and one that is on its way is", () => {
  const script = Script.open();
  publish(script, 9);
  script.outputs();
  script.handle("cancel", "e8");
  script.handle("cancel", "e0");
  script.message(published("p0"));
  script.message(published("p1"));
  expect(script.said()).toEqual(["published e0 at 7", "published e1 at 7"]);
});

test("the window is free again after a reconnection", () => {
  const script = Script.open();
  publish(script, 8);
  script.outputs();
  script.message(refusal("p0", "unavailable"));
  script.reopen();
  expect(script.sent()).toHaveLength(1);
  script.message(published("p0"));
  expect(script.sent(), "one at a time until all are answered").toHaveLength(1);
});
