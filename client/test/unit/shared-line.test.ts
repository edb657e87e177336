/** A line: what each member gets of one connection, and what the server gets of all members. One rule a test. */

import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Receiver } from "../../src/client/transport.ts";
import { Line } from "../../src/shared/line.ts";
import type { ToMember } from "../../src/shared/messages.ts";
import { lanes, welcome } from "../support/script.ts";

type Message = Readonly<Record<string, unknown>>;

function jwt(claims: object): string {
  return `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;
}

/** A line of the members `a`, `b` and `c`, whose server is the test. */
class Stage {
  readonly line: Line;
  readonly over = vi.fn(() => this.line.close());
  /** The tokens that were connected with. */
  readonly tokens: string[] = [];
  readonly #sent: string[] = [];
  readonly #told: [member: string, message: ToMember][] = [];
  #receiver: Receiver | undefined;
  isClosed = false;

  constructor(expected: readonly string[] = []) {
    const outside = {
      leader: "leader",
      connect: async (token: string, receiver: Receiver) => {
        this.tokens.push(token);
        this.#receiver = receiver;
        const close = () => {
          this.isClosed = true;
        };
        return { send: (text: string) => this.#sent.push(text), close };
      },
      tell: (member: string, _: string, message: ToMember) => this.#told.push([member, message]),
      watch: () => {},
    };
    this.line = new Line(outside, expected, this.over);
  }

  /** One at which members are welcome and have nothing to resume. */
  static async live(...members: readonly string[]): Promise<Stage> {
    const stage = new Stage();
    for (const member of members) await stage.open(member);
    stage.server(welcome());
    for (const member of members) stage.line.handle(member, { type: "ready", link: 1 });
    stage.told();
    return stage;
  }

  async open(member: string, claims: object = { exp: 100 }): Promise<void> {
    this.line.handle(member, { type: "open", link: 1, token: jwt(claims) });
    // Until there is a connection.
    await Promise.resolve();
  }

  send(member: string, message: Message): void {
    this.line.handle(member, { type: "send", link: 1, text: JSON.stringify(message) });
  }

  subscribe(member: string, id: string, events: readonly string[], others: Message = {}): void {
    this.send(member, { type: "subscribe", id, events, ...others });
  }

  resume(member: string, from: number, since: Message, events = ["content.*"]): void {
    const position = { epoch: "e1", lanes: lanes(10), ...since };
    this.send(member, {
      type: "resume",
      id: "r",
      since: position,
      subscriptions: [{ id: "s0", from, events }],
    });
    this.line.handle(member, { type: "ready", link: 1 });
  }

  server(message: Message): void {
    this.#receiver?.message(JSON.stringify(message));
  }

  closed(code?: number, reason?: string): void {
    this.#receiver?.closed(code, reason);
  }

  /** What the server got since. */
  sent(): Message[] {
    return this.#sent.splice(0).map((text) => JSON.parse(text) as Message);
  }

  /** What members got since, in short. */
  told(): (readonly [member: string, message: Message | string])[] {
    return this.#told.splice(0).map(([member, message]) => {
      if (message.type === "message") return [member, JSON.parse(message.text) as Message] as const;
      if (message.type !== "closed") return [member, message.type] as const;
      const { type, code, alone } = message;
      return [member, [type, code, alone && "alone"].filter((word) => word).join(" ")] as const;
    });
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});

function event(offset: number, type = "content.updated"): Message {
  return { type: "event", offset, lane: "normal", event: { type, data: {} } };
}

describe("subscriptions", () => {
  test("each is asked for by itself, and of equal ones the later is let go", async () => {
    const stage = await Stage.live("a", "b");
    stage.subscribe("a", "s0", ["content.*"]);
    stage.server({ type: "subscribed", id: "s0", offset: 10 });
    stage.subscribe("b", "s7", ["content.*"], { recent: 5 });
    stage.server({
      type: "subscribed",
      id: "s1",
      offset: 12,
      recent: [{ offset: 11, event: { type: "x.y" } }],
    });

    expect(stage.sent()).toEqual([
      { type: "subscribe", id: "s0", events: ["content.*"] },
      { type: "subscribe", id: "s1", events: ["content.*"], recent: 5 },
      { type: "unsubscribe", id: "s1" },
    ]);
    expect(stage.told()).toEqual([
      ["a", { type: "subscribed", id: "s0", offset: 10 }],
      ["b", { type: "subscribed", id: "s7", offset: 12, recent: [{ offset: 11, event: { type: "x.y" } }] }],
    ]);
  });

  test("an event goes to those who subscribed to it and began below", async () => {
    const stage = await Stage.live("a", "b", "c");
    stage.subscribe("a", "s0", ["content.*"]);
    stage.server({ type: "subscribed", id: "s0", offset: 10 });
    stage.subscribe("b", "s0", ["content.*"]);
    stage.server({ type: "subscribed", id: "s1", offset: 12 });
    stage.subscribe("c", "s0", ["user.*"]);
    stage.server({ type: "subscribed", id: "s2", offset: 12 });
    stage.told();

    stage.server(event(12));
    stage.server(event(13));
    stage.server(event(14, "user.login"));

    expect(stage.told().map(([member, message]) => [member, (message as Message).offset])).toEqual([
      ["a", 12],
      ["a", 13],
      ["b", 13],
      ["c", 14],
    ]);
  });

  test("the server's is ended with the last of those who share it, who leaves, dies or unsubscribes", async () => {
    const stage = await Stage.live("a", "b", "c");
    for (const member of ["a", "b", "c"]) {
      stage.subscribe(member, "s0", ["content.*"]);
      stage.server({ type: "subscribed", id: `s${["a", "b", "c"].indexOf(member)}`, offset: 10 });
    }
    stage.sent();

    stage.send("a", { type: "unsubscribe", id: "s0" });
    stage.line.gone("b");
    expect(stage.sent()).toEqual([]);
    stage.line.handle("c", { type: "close", link: 1 });
    stage.line.handle("a", { type: "close", link: 1 });

    expect(stage.sent()).toEqual([{ type: "unsubscribe", id: "s0" }]);
    expect(stage.over).toHaveBeenCalledExactlyOnceWith(false);
  });

  test("one that is unsubscribed before its answer is let go when that comes", async () => {
    const stage = await Stage.live("a", "b");
    stage.subscribe("a", "s0", ["content.*"]);
    stage.send("a", { type: "unsubscribe", id: "s0" });
    stage.server({ type: "subscribed", id: "s0", offset: 10 });

    expect(stage.sent()).toMatchObject([{ type: "subscribe" }, { type: "unsubscribe", id: "s0" }]);
    expect(stage.told()).toEqual([]);
  });

  test("what the server refuses or ends is told to all whom it was for", async () => {
    const stage = await Stage.live("a", "b");
    stage.subscribe("a", "s3", ["user.*"]);
    stage.server({ type: "error", id: "s0", code: "forbidden", message: "m" });
    stage.subscribe("a", "s4", ["content.*"]);
    stage.server({ type: "subscribed", id: "s1", offset: 10 });
    stage.subscribe("b", "s5", ["content.*"]);
    stage.server({ type: "subscribed", id: "s2", offset: 10 });
    stage.server({ type: "error", id: "s1", code: "forbidden", message: "m" });

    const errors = stage.told().filter(([, message]) => (message as Message).type === "error");
    expect(errors.map(([member, message]) => [member, (message as Message).id])).toEqual([
      ["a", "s3"],
      ["a", "s4"],
      ["b", "s5"],
    ]);
  });
});

describe("resume", () => {
  test("all that was invited is waited for and resumed at once, from the least of the positions", async () => {
    const stage = new Stage(["a", "b", "c"]);
    expect(stage.told()).toEqual(["a", "b", "c"].map((member) => [member, "invite"]));
    for (const member of ["a", "b"]) await stage.open(member);
    stage.server(welcome({ offset: 30 }));
    stage.resume("a", 5, { lanes: lanes(20, { low: 15 }) });
    stage.resume("b", 8, { lanes: lanes(18, { low: 17 }) });
    expect(stage.sent()).toEqual([]);
    stage.line.handle("c", { type: "pass" });

    expect(stage.sent()).toEqual([
      {
        type: "resume",
        id: "r",
        since: { epoch: "e1", lanes: lanes(18, { low: 15 }) },
        subscriptions: [{ id: "s0", from: 5, events: ["content.*"] }],
      },
    ]);
  });

  test("to each it is answered with its own position, and its own beginnings", async () => {
    const stage = new Stage();
    for (const member of ["a", "b"]) await stage.open(member);
    stage.server(welcome({ offset: 30 }));
    stage.resume("a", 5, { lanes: lanes(20) });
    stage.resume("b", 8, { lanes: lanes(18, { low: 25 }) });
    stage.told();

    const position = { epoch: "e1", lanes: lanes(18, { low: 20 }) };
    const subscriptions = [{ id: "s0", offset: 5 }];
    stage.server({ type: "resumed", id: "r", recovered: true, position, subscriptions });

    const common = { type: "resumed", id: "r", recovered: true };
    expect(stage.told()).toEqual([
      [
        "a",
        { ...common, position: { epoch: "e1", lanes: lanes(20) }, subscriptions: [{ id: "s0", offset: 5 }] },
      ],
      [
        "b",
        {
          ...common,
          position: { epoch: "e1", lanes: lanes(18, { low: 25 }) },
          subscriptions: [{ id: "s0", offset: 8 }],
        },
      ],
    ]);
  });

  test("what was of another log begins at the end of this one, and holds nobody else back", async () => {
    const stage = new Stage();
    for (const member of ["a", "b"]) await stage.open(member);
    stage.server(welcome({ offset: 30 }));
    stage.resume("a", 900, { epoch: "e0", lanes: lanes(999) });
    stage.resume("b", 8, { lanes: lanes(18) }, ["user.*"]);

    const [request] = stage.sent();
    expect(request).toMatchObject({ since: { epoch: "e1", lanes: lanes(18) } });
    expect(request?.subscriptions).toMatchObject([{ from: 30 }, { from: 8 }]);
    stage.told();
    const position = { epoch: "e1", lanes: lanes(18) };
    const subscriptions = [
      { id: "s0", offset: 30 },
      { id: "s1", offset: 8 },
    ];
    stage.server({ type: "resumed", id: "r", recovered: true, position, subscriptions });
    expect(stage.told()).toMatchObject([
      ["a", { position: { epoch: "e1", lanes: lanes(30) }, subscriptions: [{ offset: 30 }] }],
      ["b", { position: { epoch: "e1", lanes: lanes(18) }, subscriptions: [{ offset: 8 }] }],
    ]);
  });

  test("where all is of another log, the server says where this one ends", async () => {
    const stage = new Stage();
    for (const member of ["a", "b"]) await stage.open(member);
    stage.server(welcome({ offset: undefined }));
    stage.resume("a", 900, { epoch: "e0", lanes: lanes(999) });
    stage.resume("b", 800, { epoch: "e0", lanes: lanes(888) });
    expect(stage.sent()).toMatchObject([
      { since: { epoch: "e0", lanes: lanes(888) }, subscriptions: [{ from: 800 }] },
    ]);
    stage.told();

    const position = { epoch: "e1", lanes: lanes(1000) };
    const subscriptions = [{ id: "s0", offset: 1000 }];
    stage.server({ type: "resumed", id: "r", recovered: false, position, subscriptions });
    for (const [, message] of stage.told()) {
      expect(message).toMatchObject({ recovered: false, position, subscriptions });
    }
  });

  test("a log that has begun anew under the same epoch is passed on as it is", async () => {
    const stage = new Stage();
    for (const member of ["a", "b"]) await stage.open(member);
    stage.server(welcome({ offset: 3 }));
    stage.resume("a", 5, { lanes: lanes(20) });
    stage.resume("b", 8, { lanes: lanes(18) });
    stage.told();
    const position = { epoch: "e1", lanes: lanes(3) };
    stage.server({
      type: "resumed",
      id: "r",
      recovered: false,
      position,
      subscriptions: [{ id: "s0", offset: 3 }],
    });

    for (const [, message] of stage.told()) {
      expect(message).toMatchObject({ position, subscriptions: [{ offset: 3 }] });
    }
    stage.server(event(4));
    expect(stage.told()).toHaveLength(2);
  });

  test("a subscription that is not granted any more ends in the answer", async () => {
    const stage = new Stage();
    await stage.open("a");
    stage.server(welcome());
    stage.resume("a", 5, {});
    stage.told();
    const error = { code: "forbidden", message: "m" };
    const position = { epoch: "e1", lanes: lanes(10) };
    stage.server({
      type: "resumed",
      id: "r",
      recovered: true,
      position,
      subscriptions: [{ id: "s0", error }],
    });

    expect(stage.told()).toMatchObject([["a", { subscriptions: [{ id: "s0", error }] }]]);
    stage.server(event(11));
    expect(stage.told()).toEqual([]);
  });

  test("one that is invited and does not come is not waited for longer than a second", async () => {
    const stage = new Stage(["a", "b"]);
    await stage.open("a");
    stage.server(welcome());
    stage.resume("a", 5, {});
    vi.advanceTimersByTime(999);
    expect(stage.sent()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(stage.sent()).toMatchObject([{ type: "resume" }]);
  });

  test("one that comes to a line in use with something to resume needs another line", async () => {
    const stage = await Stage.live("a");
    stage.subscribe("a", "s0", ["content.*"]);
    await stage.open("b");
    stage.resume("b", 5, {});
    expect(stage.over).toHaveBeenCalledExactlyOnceWith(true);
  });

  test("one that comes to a line of which nobody has made use resumes there", async () => {
    const stage = await Stage.live("a");
    await stage.open("b");
    stage.resume("b", 5, {});
    expect(stage.sent()).toMatchObject([{ type: "resume" }]);
    expect(stage.over).not.toHaveBeenCalled();
  });

  test("a resume that the server refuses ends the line for all", async () => {
    const stage = new Stage();
    for (const member of ["a", "b"]) await stage.open(member);
    stage.server(welcome());
    stage.resume("a", 5, {});
    stage.line.handle("b", { type: "ready", link: 1 });
    stage.told();
    stage.server({ type: "error", id: "r", code: "internal", message: "m" });

    expect(stage.isClosed).toBe(true);
    expect(stage.told()).toEqual([
      ["a", "closed"],
      ["b", "closed"],
    ]);
  });
});

describe("requests", () => {
  test("a publish is answered to the member that made it, under its own id", async () => {
    const stage = await Stage.live("a", "b");
    for (const member of ["a", "b"]) stage.send(member, { type: "publish", id: "p0", event: { id: member } });
    expect(stage.sent()).toEqual([
      { type: "publish", id: "p0", event: { id: "a" } },
      { type: "publish", id: "p1", event: { id: "b" } },
    ]);
    stage.server({ type: "published", id: "p1", eventId: "b", offset: 4, duplicate: false });
    stage.server({ type: "error", id: "p0", code: "conflict", message: "m" });

    expect(stage.told()).toMatchObject([
      ["b", { type: "published", id: "p0", offset: 4 }],
      ["a", { type: "error", id: "p0", code: "conflict" }],
    ]);
  });

  test("a better token goes to the server, and others are answered with what that one got", async () => {
    const stage = await Stage.live("a", "b");
    stage.send("a", { type: "auth", id: "a", token: jwt({ exp: 200 }) });
    stage.server({ type: "authenticated", id: "a", expiresAt: 200 });
    stage.send("b", { type: "auth", id: "a", token: jwt({ exp: 199 }) });
    await stage.open("c");

    expect(stage.sent()).toEqual([{ type: "auth", id: "a", token: jwt({ exp: 200 }) }]);
    expect(stage.told()).toMatchObject([
      ["a", { type: "authenticated", id: "a", expiresAt: 200 }],
      ["b", { type: "authenticated", id: "a", expiresAt: 200 }],
      ["c", "accepted"],
      ["c", { type: "welcome", expiresAt: 200 }],
    ]);
  });

  test("a token that the server does not take is refused to the member that offered it", async () => {
    const stage = await Stage.live("a", "b");
    stage.send("b", { type: "auth", id: "a", token: jwt({ exp: 200 }) });
    stage.server({ type: "error", id: "a", code: "invalid_token", message: "m" });
    expect(stage.told()).toMatchObject([["b", { type: "error", id: "a", code: "invalid_token" }]]);
  });

  test("more at once than the server allows is slowed down", async () => {
    const stage = await Stage.live("a", "b");
    for (let count = 0; count < 150; count++) {
      stage.send(count % 2 === 0 ? "a" : "b", { type: "publish", id: `p${count}`, event: {} });
    }
    expect(stage.sent()).toHaveLength(100);
    vi.advanceTimersByTime(250);
    expect(stage.sent()).toHaveLength(25);
    vi.advanceTimersByTime(250);
    expect(stage.sent()).toHaveLength(25);
  });

  test("what a member has not got sent when it leaves is not sent", async () => {
    const stage = await Stage.live("a", "b");
    for (let count = 0; count < 101; count++)
      stage.send("a", { type: "publish", id: `p${count}`, event: {} });
    stage.line.handle("a", { type: "close", link: 1 });
    vi.advanceTimersByTime(1_000);
    expect(stage.sent()).toHaveLength(100);
  });
});

describe("the end", () => {
  test.each([4401, 4419])("after %i only the member whose token it was asks for another", async (code) => {
    const stage = await Stage.live("a", "b");
    stage.send("b", { type: "auth", id: "a", token: jwt({ exp: 200 }) });
    stage.server({ type: "authenticated", id: "a", expiresAt: 200 });
    stage.told();
    stage.closed(code);
    expect(stage.told()).toEqual([
      ["a", "closed"],
      ["b", `closed ${code}`],
    ]);
    expect(stage.over).toHaveBeenCalledExactlyOnceWith(false);
  });

  test("a fault stops the member that sent last, and no other", async () => {
    const stage = await Stage.live("a", "b");
    stage.subscribe("b", "s0", ["content.*"]);
    stage.closed(1009);
    expect(stage.told()).toEqual([
      ["a", "closed"],
      ["b", "closed 1009"],
    ]);
  });

  test.each([1012, 4403, 4429])("%i concerns all", async (code) => {
    const stage = await Stage.live("a", "b");
    stage.closed(code);
    expect(stage.told()).toEqual([
      ["a", `closed ${code}`],
      ["b", `closed ${code}`],
    ]);
  });

  test("a server that is silent for its timeout, or does not answer a ping, is given up for all", async () => {
    const silent = await Stage.live("a", "b");
    vi.advanceTimersByTime(59_000);
    silent.server({ type: "heartbeat", lanes: lanes(0) });
    vi.advanceTimersByTime(59_999);
    expect(silent.over).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(silent.over).toHaveBeenCalledExactlyOnceWith(false);
    expect(silent.isClosed).toBe(true);

    const dead = await Stage.live("a", "b");
    dead.send("a", { type: "ping" });
    vi.advanceTimersByTime(5_000);
    expect(dead.over).toHaveBeenCalledExactlyOnceWith(false);
  });

  test("a connection that hangs before welcome is given up for all", async () => {
    const stage = new Stage();
    await stage.open("a");
    vi.advanceTimersByTime(15_000);
    expect(stage.told().at(-1)).toEqual(["a", "closed"]);
    expect(stage.isClosed).toBe(true);
  });

  test("what a connection says after it has ended, or was let go, is nobody's", async () => {
    const ended = await Stage.live("a");
    ended.subscribe("a", "s0", ["content.*"]);
    ended.server({ type: "subscribed", id: "s0", offset: 1 });
    ended.closed(1012);
    ended.told();
    ended.server(event(2));
    ended.closed(1006);
    expect(ended.told()).toEqual([]);

    const left = await Stage.live("a");
    left.line.close();
    left.server(event(2));
    left.server({ type: "news" });
    left.closed(1006);
    expect(left.told()).toEqual([]);
  });

  test("what the line does not know, or is against the protocol, is for the members to judge", async () => {
    const stage = await Stage.live("a");
    for (const message of [{ type: "pong" }, { type: "constructor" }, { type: "resumed" }, {}]) {
      stage.server(message);
      expect(stage.told()).toEqual([["a", message]]);
    }
  });

  test("a member that takes nothing gets no more than 4 MiB, and goes its own way", async () => {
    const stage = await Stage.live("a", "b");
    const text = "x".repeat(1024 * 1024);
    for (let count = 0; count < 3; count++) stage.server({ type: "news", text });
    stage.line.handle("a", { type: "took", link: 1, size: 3 * 1024 * 1024 });
    stage.told();
    stage.server({ type: "news", text });
    expect(stage.told()).toMatchObject([
      ["a", { type: "news" }],
      ["b", "closed alone"],
    ]);
    stage.server({ type: "news", text });
    expect(stage.told()).toMatchObject([["a", { type: "news" }]]);
  });
});
