/** Tokens: when one is asked for, which is not tried again, how one is replaced (PROTOCOL §2 and §5). One rule a test. */

import { expect, test } from "vitest";
import { Script, welcome } from "../support/script.ts";

const hour = 3600;

test("two reasons to ask are one question", () => {
  const script = new Script();
  script.handle("start");
  expect(script.said()).toEqual(["get token", "connecting"]);
  script.handle("offline");
  script.handle("online");
  expect(script.said()).toEqual([]);
  script.handle("token", "t1");
  expect(script.said()).toEqual(["open t1"]);
});

test("no token is the state unauthorized, with what to do, until there is one", () => {
  const script = new Script();
  script.handle("start");
  script.outputs();
  script.handle("token", null);
  script.pass(1_000_000);
  const [error, state] = script.outputs();
  expect(error?.[1]).toMatchObject({ code: "unauthorized", message: expect.stringContaining("setToken") });
  expect(state).toEqual(["state", "unauthorized", error?.[1]]);
  script.handle("setToken", "t2");
  expect(script.said()).toEqual(["open t2", "connecting"]);
});

test("a token that cannot be got is asked for again with growing delays", () => {
  const script = new Script();
  script.handle("start");
  const delays: number[] = [];
  for (let attempt = 0; attempt < 4; attempt++) {
    expect(script.said()).toEqual(["get token", "connecting"]);
    script.handle("tokenFailed", new Error("down"));
    expect(script.said()).toEqual(["client: no_token", "waiting"]);
    delays.push(script.machine.pollTimeout() - script.millis);
    script.passToNext();
  }
  expect(delays).toEqual([500, 1000, 2000, 4000]);
});

test("a token that the server rejects is not tried again", () => {
  const script = new Script();
  script.start();
  script.handle("closed", 4401, "no");
  expect(script.said()).toEqual(["client: unauthorized", "unauthorized"]);
  expect(script.machine.pollTimeout()).toBe(Number.POSITIVE_INFINITY);

  script.handle("setToken", "t1");
  script.handle("online");
  expect(script.said()).toEqual([]);
  script.handle("setToken", "t2");
  expect(script.said()).toEqual(["open t2", "connecting"]);
});

test("starting anew asks for a token again", () => {
  const script = new Script();
  script.start();
  script.handle("closed", 4401);
  script.outputs();
  script.handle("start");
  expect(script.said()).toEqual(["get token", "connecting"]);
  script.handle("token", "t1");
  expect(script.said()).toEqual(["unauthorized"]);
});

test("a token that was good once is replaced when it is rejected", () => {
  const script = Script.subscribed();
  script.handle("closed", 4401);
  script.passToNext();
  expect(script.said()).toEqual(["client: unauthorized", "get token", "connecting"]);
  script.handle("token", "t1");
  expect(script.said()).toEqual(["unauthorized"]);
});

test("an operator's disconnect is final until the token changes", () => {
  const script = Script.subscribed();
  script.handle("closed", 4403);
  script.pass(1_000_000);
  expect(script.said()).toEqual(["client: disconnected", "unauthorized"]);
  script.handle("setToken", "t2");
  expect(script.said()).toEqual(["open t2", "connecting"]);
});

test("an expired token is replaced before the next connection", () => {
  const script = Script.subscribed();
  script.pass(20_000);
  script.handle("closed", 4419);
  script.passToNext();
  expect(script.said()).toEqual(["client: unauthorized", "get token", "connecting"]);
  script.handle("token", "t1");
  expect(script.said(), "the same one is worth nothing").toEqual(["client: no_token", "waiting"]);
  script.passToNext();
  expect(script.said()).toEqual(["get token", "connecting"]);
  script.handle("token", "t2");
  expect(script.said()).toEqual(["open t2"]);
});

test("a token that has expired meanwhile is not connected with", () => {
  const script = Script.open(welcome({ expiresAt: 100 }));
  script.handle("offline");
  script.outputs();
  script.millis = 100_000;
  script.handle("online");
  expect(script.said()).toEqual(["get token", "connecting"]);
});

test.each([
  [hour, hour - 60],
  [100, 80],
  [10, 8],
])("of a life of %i s the next token is due after %i s", (life, due) => {
  const script = Script.open(welcome({ expiresAt: life }));
  for (let second = 0; second < due; second++) {
    expect(script.said()).toEqual([]);
    script.message({ type: "pong" });
    script.pass(1000);
  }
  expect(script.said()).toEqual(["get token"]);
});

test("a clock that is wrong does not ask without pause", () => {
  const script = new Script();
  script.millis = 100_000;
  script.start();
  script.greet(welcome({ expiresAt: 5 }));
  script.pass(29_999);
  expect(script.said()).toEqual(["open"]);
  script.pass(1);
  expect(script.said()).toEqual(["get token"]);
});

test("a token is replaced in place before it expires", () => {
  const script = Script.open(welcome({ expiresAt: 100 }));
  script.pass(50_000);
  script.message({ type: "pong" });
  script.pass(30_000);
  expect(script.said()).toEqual(["get token"]);
  script.handle("token", "t2");
  expect(script.sent()).toEqual([{ type: "auth", id: "a", token: "t2" }]);
  script.handle("setToken", "t3");
  expect(script.sent(), "one at a time").toEqual([]);

  script.message({ type: "authenticated", id: "a", expiresAt: 1000 });
  expect(script.sent()).toEqual([{ type: "auth", id: "a", token: "t3" }]);
  script.message({ type: "authenticated", id: "a", expiresAt: 1000 });
  script.handle("closed", 1011);
  script.passToNext();
  expect(script.said().slice(1)).toEqual(["open t3", "connecting"]);
});

test("a refresh that fails is repeated with growing pauses, and the connection stays", () => {
  const script = Script.open(welcome({ expiresAt: 40 }));
  script.pass(32_000);
  expect(script.said()).toEqual(["get token"]);
  script.handle("tokenFailed", new Error("down"));
  const asked: number[] = [];
  for (let second = 1; second <= 60; second++) {
    script.message({ type: "pong" });
    script.pass(1000);
    if (!script.said().includes("get token")) continue;
    asked.push(second);
    script.handle("tokenFailed", new Error("down"));
  }
  expect(asked).toEqual([2, 4, 7, 12, 21, 38]);
  expect(script.machine.state).toBe("open");
});

test("a refresh that gives the token in use has failed", () => {
  const script = Script.open(welcome({ expiresAt: 40 }));
  script.pass(32_000);
  script.outputs();
  script.handle("token", "t1");
  expect(script.said()).toEqual(["client: no_token"]);
  script.pass(1500);
  expect(script.said()).toEqual(["get token"]);
});

test("without a next token the connection stays until its own expires", () => {
  const script = Script.open(welcome({ expiresAt: 40 }));
  script.pass(32_000);
  script.outputs();
  script.handle("token", null);
  script.pass(8000);
  expect(script.said()).toEqual([]);
  script.handle("closed", 4419);
  script.passToNext();
  script.outputs();
  script.handle("token", null);
  expect(script.said()).toEqual(["client: unauthorized", "unauthorized"]);
});

test("one of `getToken` that the server refuses in place is dropped for the one in use", () => {
  const script = Script.open(welcome({ expiresAt: 100 }));
  script.pass(50_000);
  script.message({ type: "pong" });
  script.pass(30_000);
  script.outputs();
  script.handle("token", "bad");
  expect(script.said()).toEqual(["send auth"]);
  script.message({ type: "error", id: "a", code: "invalid_token", message: "m" });
  expect(script.said()).toEqual(["client: invalid_token"]);
  script.handle("closed", 1011);
  script.passToNext();
  expect(script.said().slice(1)).toEqual(["open t1", "connecting"]);
});

test("one that the application insists on is connected with where the server does not swap it, as for another user", () => {
  const script = Script.subscribed();
  script.handle("setToken", "other");
  expect(script.said()).toEqual(["send auth"]);
  script.message({ type: "error", id: "a", code: "invalid_token", message: "another user" });
  expect(script.said()).toEqual(["close", "open other", "connecting"]);
});

test("who logs out is disconnected, and no token is asked for", () => {
  const script = Script.subscribed();
  script.handle("setToken", null);
  script.pass(1_000_000);
  expect(script.said()).toEqual(["close", "client: unauthorized", "unauthorized"]);
  script.handle("setToken", "t2");
  script.greet();
  expect(script.said()).toEqual(["open", "send resume"]);
});
