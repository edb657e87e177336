/** The client against the protocol's vectors: it makes of every script what the core's own client makes of it. */

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { expect, test } from "vitest";
import type { Input, Now, Output, Wanted } from "../../src/client/io.ts";
import { Machine } from "../../src/client/machine.ts";
import type { WireFilter } from "../../src/client/matching.ts";
import { newId, Publishes } from "../../src/client/publishes.ts";

type Fields = Readonly<Record<string, unknown>>;

/** One input by its name, with its argument where it has one. */
type Step = string | Readonly<Record<string, unknown>>;

interface Vectors {
  readonly scripts: readonly {
    readonly about: string;
    readonly steps: readonly { readonly input: Step; readonly then: Fields }[];
  }[];
  readonly violations: readonly string[];
  readonly errors: readonly { readonly code: string; readonly repeated: boolean }[];
  readonly closes: readonly {
    readonly code: number;
    readonly reason: string;
    readonly state: string;
    readonly next: string | null;
  }[];
  readonly delays: readonly number[];
}

const file = new URL("../../../core/tests/fixtures/protocol.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors;
const codes = new Set(vectors.errors.map(({ code }) => code));

/** Unix time at which every script begins. */
const BEGIN = 1_790_000_000_000;

const WELCOME = {
  type: "welcome",
  protocol: 1,
  connection: "c_1",
  user: "u1",
  epoch: "e1",
  offset: 10,
  heartbeat: { interval: 30_000, timeout: 60_000 },
};

/** A machine that is fed the inputs of a script, and what comes out of it in the vectors' words. */
class Player {
  readonly #machine = new Machine(() => 1);
  #time = 0;
  /** Whether the machine has asked for a token and waits for it. */
  #asked = false;
  /** The ids that the machine chose, in the order of their first use. */
  readonly #ids: string[] = [];
  #position: unknown = null;
  #subscriptions = 0;
  #publishes = 0;
  /** What came out since the last step. */
  #then: Record<string, unknown> = {};

  constructor() {
    this.#machine.attach(Publishes, newId);
  }

  put(step: Step): Fields {
    this.#then = {};
    const [name = "", argument] = typeof step === "string" ? [step] : (Object.entries(step)[0] ?? []);
    if (name === "pass") this.#pass(Number(argument));
    else this.#feed(name, argument);
    this.#collect();
    this.#then.state = this.#machine.state;
    const position = this.#machine.subscriptions.position;
    if (!isDeepStrictEqual(position, this.#position)) this.#then.position = position;
    this.#position = position;
    return this.#then;
  }

  #feed(name: string, argument: unknown): void {
    const inputs: Record<string, (argument: never) => Input | undefined> = {
      start: () => ["start"],
      stop: () => ["stop"],
      online: () => ["online"],
      offline: () => ["offline"],
      visible: () => ["visible"],
      // That a connection is open is of no account to a machine that waits for `welcome`.
      connected: () => undefined,
      token: (token: string | null) => {
        const answer = this.#asked;
        this.#asked = false;
        return [answer ? "token" : "setToken", token];
      },
      tokenFailed: () => {
        this.#asked = false;
        return ["tokenFailed", new Error("of the application")];
      },
      closed: ({ code }: { code?: number }) => ["closed", code, ""],
      message: (message: Fields) => ["message", JSON.stringify(this.#withIds(message))],
      text: (text: string) => ["message", text],
      subscribe: ({ events, filter = {}, recent = 0 }: Partial<Wanted> & Pick<Wanted, "events">) => {
        const id = String(this.#subscriptions++);
        return ["subscribe", { id, events, filter: filter as WireFilter, recent }];
      },
      unsubscribe: (index: number) => ["unsubscribe", String(index)],
      publish: (event: Readonly<Record<string, unknown>>) => ["publish", String(this.#publishes++), event],
    };
    const make = inputs[name];
    if (make === undefined) throw new Error(`no input is called ${name}`);
    const input = make(argument as never);
    if (input !== undefined) this.#machine.handle(this.#now, ...input);
  }

  get #now(): Now {
    return { instant: this.#time, unix: BEGIN + this.#time };
  }

  #pass(millis: number): void {
    const until = this.#time + millis;
    this.#collect();
    for (let due = this.#machine.pollTimeout(); due <= until; due = this.#machine.pollTimeout()) {
      this.#time = Math.max(this.#time, due);
      this.#machine.handle(this.#now, "timeout");
      this.#collect();
    }
    this.#time = until;
  }

  #collect(): void {
    for (let output = this.#machine.pollOutput(); output; output = this.#machine.pollOutput()) {
      this.#write(output);
    }
  }

  #push(kind: string, value: unknown): void {
    this.#then[kind] = [...((this.#then[kind] as unknown[] | undefined) ?? []), value];
  }

  #write(output: Output): void {
    switch (output[0]) {
      case "getToken":
        this.#asked = true;
        this.#then.asksForToken = true;
        break;
      case "open":
        this.#push("opensWith", output[1]);
        break;
      case "send":
        this.#push("sends", this.#withoutIds(JSON.parse(output[1])));
        break;
      case "close":
        this.#push("closes", undefined);
        break;
      case "subscribed": {
        const [, id, { offset, truncated }, recent] = output;
        const offsets = recent.map((delivery) => delivery.offset);
        this.#push("begins", { subscription: Number(id), offset, recent: offsets, truncated });
        break;
      }
      case "event": {
        const [, { offset, lane, event }, ids] = output;
        this.#push("events", { offset, lane, id: (event as unknown as Fields).id, to: ids.map(Number) });
        break;
      }
      case "gap": {
        const { reason, ...gap } = output[1];
        const known = reason === "expired" || reason === "epoch";
        this.#push("gaps", { ...gap, reason: known ? reason : "other" });
        break;
      }
      case "published": {
        const [, id, result] = output;
        this.#push("published", { publish: Number(id), ...result });
        break;
      }
      case "error":
        this.#push("errors", output[1]);
        break;
      case "state":
        break;
    }
  }

  #withIds(message: Fields): Fields {
    return mapIds(message, (id) => this.#ids[Number(id.slice(1)) - 1] ?? id);
  }

  #withoutIds(message: Fields): Fields {
    return mapIds(message, (id) => {
      if (!this.#ids.includes(id)) this.#ids.push(id);
      return `#${this.#ids.indexOf(id) + 1}`;
    });
  }
}

/** Changes the ids of a message: its own, and those of the subscriptions that it lists. An empty filter is none. */
function mapIds(message: Fields, map: (id: string) => string): Fields {
  const { id, subscriptions, filter, ...others } = message;
  return {
    ...others,
    ...(typeof id === "string" && { id: map(id) }),
    ...(Array.isArray(subscriptions) && { subscriptions: subscriptions.map((one) => mapIds(one, map)) }),
    ...(0 < Object.keys(filter ?? {}).length && { filter }),
  };
}

/** What came of a step, or is to come of it, without what each client words as it likes. */
function comparable({ closes, errors, ...then }: Fields): Fields {
  const told = ((errors ?? []) as { code: string }[])
    .map(({ code }) => code)
    .filter((code) => codes.has(code));
  return {
    ...then,
    ...(0 < told.length && { errors: told }),
    ...(Array.isArray(closes) && { closes: closes.length }),
  };
}

/** A machine that is open. */
function open(): Player {
  const player = new Player();
  for (const input of ["start", { token: "t1" }, "connected", { message: WELCOME }]) player.put(input);
  return player;
}

test.each(vectors.scripts)("$about", ({ steps }) => {
  const player = new Player();
  for (const { input, then } of steps) {
    expect(comparable(player.put(input)), JSON.stringify(input)).toEqual(comparable(then));
  }
});

test.each(vectors.violations)("%s is against the protocol", (text) => {
  const player = open();
  player.put({ subscribe: { events: ["content.*"] } });
  player.put({ message: { type: "subscribed", id: "#1", offset: 10 } });

  const then = player.put({ text });

  expect(comparable(then)).toMatchObject({ closes: 1, state: "waiting" });
});

test.each(vectors.errors)("$code has a request sent again: $repeated", ({ code, repeated }) => {
  const player = open();
  player.put({ publish: { id: "e1", type: "content.deleted", data: {} } });
  player.put({ message: { type: "error", id: "#1", code, message: "as the server says" } });

  const then = player.put({ pass: 2000 });

  expect("sends" in then).toBe(repeated);
});

test.each(vectors.closes)("a close with $code leads to $state", ({ code, state, next }) => {
  const player = open();

  expect(player.put({ closed: { code } }).state).toBe(state);

  const then = player.put({ pass: 500 });
  expect(["opensWith", "asksForToken"].filter((name) => name in then)).toEqual(next === null ? [] : [next]);
});

test("the waits after failures in a row grow as the vectors say", () => {
  const player = open();
  for (const delay of vectors.delays) {
    player.put({ closed: {} });
    expect(player.put({ pass: delay - 1 }).state).toBe("waiting");
    expect(player.put({ pass: 1 })).toHaveProperty("opensWith");
  }
});
