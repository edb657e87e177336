/** When a client connects, lets go and waits, and what it does about tokens (PROTOCOL §2, §5 and §7). One rule a test. */

import { describe, expect, test } from "vitest";
import { event, lanes, Script, welcome } from "../support/script.ts";

describe("connecting", () => {
  test("it connects with a token and is open when welcomed", () => {
    const script = new Script();
    script.handle("start");
    expect(script.said()).toEqual(["get token", "connecting"]);
    script.handle("token", "t1");
    expect(script.said()).toEqual(["open t1"]);
    script.message(welcome());
    expect(script.said()).toEqual(["open"]);
  });

  test("what a connection says that was let go is not listened to", () => {
    const script = Script.subscribed();
    script.passToNext();
    script.message(event(11));
    script.handle("closed", 4401);
    expect(script.said()).toEqual(["close", "client: connection_failed", "waiting"]);
    expect(script.machine.subscriptions.position?.lanes.normal).toBe(10);
  });

  test("a connection that hangs before welcome is given up", () => {
    const script = new Script();
    script.start();
    script.pass(14_999);
    expect(script.said()).toEqual([]);
    script.pass(1);
    expect(script.said()).toEqual(["close", "client: connection_failed", "waiting"]);
  });

  test("a connection that hangs before resumed is given up, whatever else it says", () => {
    const script = Script.subscribed();
    script.reopen();
    script.outputs();
    for (let second = 0; second < 60; second++) {
      expect(script.machine.state).toBe("open");
      script.message({ type: "heartbeat", lanes: lanes(50) });
      script.pass(1000);
    }
    expect(script.said()[0]).toBe("close");
  });

  test("a server of a newer protocol stops it, with what to do", () => {
    const script = new Script();
    script.start();
    script.message({ type: "welcome", protocol: 2, hello: true });
    const [close, error, state] = script.outputs();
    expect(close).toEqual(["close"]);
    expect(error?.[1]).toMatchObject({
      code: "protocol",
      message: expect.stringContaining("update"),
    });
    expect(state).toEqual(["state", "closed", error?.[1]]);
    script.pass(1_000_000);
    expect(script.said()).toEqual([]);
  });

  test("what comes before welcome is against the protocol", () => {
    const script = new Script();
    script.start();
    script.message(event(1));
    expect(script.said()).toEqual(["close", "client: protocol", "waiting"]);
  });
});

describe("the end of a connection", () => {
  test("silence for the server's timeout ends it, and any message prevents that", () => {
    const script = Script.subscribed();
    script.pass(59_000);
    script.message({ type: "heartbeat", lanes: { critical: 0, high: 0, normal: 0, low: 0 } });
    script.pass(59_999);
    expect(script.machine.state).toBe("open");
    script.pass(1);
    expect(script.machine.state).toBe("waiting");
  });

  test("delays double up to 30 s, are spread over the whole range, and begin anew after one of 10 s", () => {
    const script = new Script(() => 1);
    script.start();
    const delays: number[] = [];
    for (let attempt = 0; attempt < 9; attempt++) {
      script.handle("closed");
      delays.push(script.machine.pollTimeout() - script.millis);
      script.passToNext();
      script.outputs();
    }
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);

    script.greet();
    script.pass(9_999);
    script.handle("closed", 1011);
    expect(script.machine.pollTimeout() - script.millis).toBe(30_000);
    script.passToNext();
    script.greet();
    script.pass(10_000);
    script.handle("closed", 1011);
    expect(script.machine.pollTimeout() - script.millis).toBe(500);

    const hasty = new Script(() => 0);
    hasty.start();
    hasty.handle("closed");
    expect(hasty.machine.pollTimeout()).toBe(hasty.millis);
  });

  test.each([1000, 1001, 1006, 1011, 1012, 1013, 4408, 4429])("after %i it reconnects", (code) => {
    const script = Script.subscribed();
    script.handle("closed", code);
    expect(script.said()).toEqual(["client: connection_failed", "waiting"]);
    script.passToNext();
    expect(script.said()).toEqual(["open t1", "connecting"]);
  });

  test.each([1002, 1003, 1007, 1009, 4400])("%i is a fault of the client and stops it", (code) => {
    const script = Script.subscribed();
    script.handle("closed", code, "why");
    script.pass(1_000_000);
    expect(script.said()).toEqual(["client: protocol", "closed"]);
  });

  test("a draining server is left when it says, and the next is resumed on", () => {
    const script = Script.subscribed();
    script.pass(20_000);
    script.message({ type: "reconnect", after: 1500 });
    script.pass(1499);
    script.message(event(11));
    expect(script.said()).toEqual(["event 11 for [a]"]);
    script.pass(1);
    expect(script.said()).toEqual(["close", "open t1", "connecting"]);
    script.message(welcome());
    expect(script.said()).toEqual(["open", "send resume"]);
  });

  test("a server that always drains meets the delays", () => {
    const script = new Script();
    script.start();
    for (let attempt = 0; attempt < 6; attempt++) {
      script.greet();
      script.message({ type: "reconnect", after: 0 });
      script.handle("timeout");
      expect(script.machine.state).toBe("waiting");
      expect(script.machine.pollTimeout() - script.millis).toBe(500 * 2 ** attempt);
      script.passToNext();
    }
  });

  test("stopping ends what waits, and a later start resumes", () => {
    const script = Script.subscribed();
    script.handle("publish", "p", { type: "a.b" });
    script.handle("stop");
    expect(script.said()).toEqual(["close", "p: stopped", "closed"]);
    expect(script.machine.pollTimeout()).toBe(Number.POSITIVE_INFINITY);

    script.handle("start");
    expect(script.said()).toEqual(["open t1", "connecting"]);
    script.greet();
    expect(script.said()).toEqual(["open", "send resume"]);
  });
});

describe("network and page", () => {
  test("without a network nothing is opened, and with it at once", () => {
    const script = Script.subscribed();
    script.handle("offline");
    script.pass(1_000_000);
    expect(script.said()).toEqual(["close", "offline"]);
    script.handle("online");
    expect(script.said()).toEqual(["open t1", "connecting"]);
  });

  test("a network that comes ends the wait", () => {
    const script = Script.subscribed();
    script.handle("closed", 1011);
    script.outputs();
    script.handle("online");
    expect(script.said()).toEqual(["open t1", "connecting"]);
  });

  test("a network that comes begins the delays anew", () => {
    const script = new Script(() => 1);
    script.start();
    for (let attempt = 0; attempt < 5; attempt++) {
      script.handle("closed");
      script.passToNext();
    }
    script.handle("offline");
    script.handle("online");
    script.handle("closed");
    expect(script.machine.pollTimeout() - script.millis).toBe(500);
  });

  test("a page that comes back to sight ends the wait, whose timer may be late", () => {
    const script = Script.subscribed();
    script.handle("closed", 1011);
    script.outputs();
    script.handle("visible");
    expect(script.said()).toEqual(["open t1", "connecting"]);
  });

  test("a page that comes back to sight probes, and reconnects without an answer", () => {
    const script = Script.subscribed();
    script.handle("visible");
    script.handle("visible");
    expect(script.said()).toEqual(["send ping"]);
    script.message({ type: "pong" });
    script.pass(10_000);
    expect(script.machine.state).toBe("open");

    script.handle("visible");
    script.pass(4_999);
    expect(script.said()).toEqual(["send ping"]);
    script.pass(1);
    expect(script.said()).toEqual(["close", "client: connection_failed", "waiting"]);
  });

  test("a page that slept past the heartbeat timeout reconnects at once", () => {
    const script = Script.subscribed();
    script.millis += 60_000;
    script.handle("visible");
    expect(script.said()).toEqual(["close", "open t1", "connecting"]);
  });

  test("where it is told that another connection is to be had, it takes that at once and resumes", () => {
    const script = Script.subscribed();
    script.handle("renew");
    expect(script.said()).toEqual(["close", "open t1", "connecting"]);
    script.message(welcome());
    expect(script.sent()).toMatchObject([{ type: "resume" }]);

    script.handle("closed", 1011);
    script.outputs();
    script.handle("renew");
    expect(script.said()).toEqual(["open t1", "connecting"]);
  });

  test("one that was not started stays so", () => {
    const script = new Script();
    for (const input of ["offline", "online", "visible", "renew", "timeout"] as const) script.handle(input);
    expect(script.said()).toEqual([]);
    expect(script.machine.state).toBe("idle");
  });
});
