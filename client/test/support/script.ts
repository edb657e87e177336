/** A client's machine with a clock of the test's own, and what it said that is not yet looked at. */

import { expect } from "vitest";
import type { Input, Now, Output } from "../../src/client/io.ts";
import { Machine } from "../../src/client/machine.ts";
import type { WireFilter } from "../../src/client/matching.ts";
import { newId, Publishes } from "../../src/client/publishes.ts";

type Message = Readonly<Record<string, unknown>>;

export const LANES = ["critical", "high", "normal", "low"] as const;

export function lanes(offset: number, others: Readonly<Record<string, number>> = {}) {
  return { critical: offset, high: offset, normal: offset, low: offset, ...others };
}

export function event(offset: number, lane = "normal"): Message {
  const data = { n: offset, tags: ["a", "b"] };
  return { type: "event", offset, lane, event: { type: "content.updated", data } };
}

export function welcome(others: Message = {}): Message {
  const heartbeat = { interval: 30_000, timeout: 60_000 };
  return {
    type: "welcome",
    protocol: 1,
    connection: "c_1",
    user: "u",
    epoch: "e1",
    offset: 10,
    heartbeat,
    ...others,
  };
}

export function resumed(offset: number, subscriptions: readonly Message[], others: Message = {}): Message {
  const position = { epoch: "e1", lanes: lanes(offset) };
  return { type: "resumed", id: "r", recovered: true, position, subscriptions, ...others };
}

export function published(id: string, offset = 7): Message {
  return { type: "published", id, eventId: "x", offset, duplicate: false };
}

export function refusal(id: string, code: string): Message {
  return { type: "error", id, code, message: "m" };
}

export class Script {
  readonly machine: Machine;
  millis = 0;

  /** A machine that is idle. Its delays are all of what they may be at most, unless told otherwise. */
  constructor(random: () => number = () => 1) {
    this.machine = new Machine(random);
    this.machine.attach(Publishes, newId);
  }

  /** One that is open. */
  static open(greeting: Message = welcome()): Script {
    const script = new Script();
    script.start();
    script.message(greeting);
    expect(script.machine.state).toBe("open");
    script.outputs();
    return script;
  }

  /** One that is open with the subscription `a` to `content.*` that began at 10. */
  static subscribed(): Script {
    const script = Script.open();
    script.subscribe("a", ["content.*"]);
    script.outputs();
    script.message({ type: "subscribed", id: "s0", offset: 10 });
    script.outputs();
    return script;
  }

  get now(): Now {
    return { instant: this.millis, unix: this.millis };
  }

  handle(...input: Input): void {
    this.machine.handle(this.now, ...input);
  }

  message(message: Message): void {
    this.handle("message", JSON.stringify(message));
  }

  subscribe(
    id: string,
    events: readonly string[],
    others: { filter?: WireFilter; recent?: number } = {},
  ): void {
    this.handle("subscribe", { id, events, filter: {}, recent: 0, ...others });
  }

  /** Passes time, with the deadlines on the way. */
  pass(millis: number): void {
    const until = this.millis + millis;
    for (let due = this.machine.pollTimeout(); due <= until; due = this.machine.pollTimeout()) {
      this.millis = Math.max(this.millis, due);
      this.handle("timeout");
    }
    this.millis = until;
  }

  outputs(): Output[] {
    const outputs: Output[] = [];
    for (let output = this.machine.pollOutput(); output; output = this.machine.pollOutput())
      outputs.push(output);
    return outputs;
  }

  /** Everything that the machine has to say, in short. */
  said(): string[] {
    return this.outputs().map(short);
  }

  /** Passes the time until something is due, and has it happen. */
  passToNext(): void {
    this.pass(this.machine.pollTimeout() - this.millis);
  }

  /** The messages that it sends. */
  sent(): Message[] {
    return this.outputs().flatMap((output) =>
      output[0] === "send" ? [JSON.parse(output[1]) as Message] : [],
    );
  }

  /** Has it ask for a connection with the token `t1`. */
  start(): void {
    this.handle("start");
    this.outputs();
    this.handle("token", "t1");
    this.outputs();
    expect(this.machine.state).toBe("connecting");
  }

  /** Completes a connection that it has asked for. */
  greet(greeting: Message = welcome()): void {
    this.outputs();
    expect(this.machine.state).toBe("connecting");
    this.message(greeting);
    expect(this.machine.state).toBe("open");
  }

  /** Breaks the connection and completes the next. */
  reopen(greeting: Message = welcome()): void {
    this.handle("closed", 1011);
    this.passToNext();
    this.greet(greeting);
  }
}

function short(output: Output): string {
  switch (output[0]) {
    case "getToken":
      return "get token";
    case "send":
      return `send ${JSON.parse(output[1]).type}`;
    case "state":
      return output[1];
    case "subscribed": {
      const [, subscription, { offset, truncated }, recent] = output;
      const offsets = recent.map((one) => one.offset);
      return `${subscription} from ${offset}${truncated ? " truncated" : ""} with [${offsets}]`;
    }
    case "event":
      return `event ${output[1].offset} for [${output[2]}]`;
    case "gap": {
      const { lane, after = "", until, reason } = output[1];
      return `gap ${lane} ${after}..${until} ${reason}`;
    }
    case "published":
      return `published ${output[1]} at ${output[2].offset}${output[2].duplicate ? " again" : ""}`;
    case "error":
      return `${output[2] ?? "client"}: ${output[1].code}`;
    default:
      return output.join(" ");
  }
}
