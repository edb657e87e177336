/** What an application sees of a client, over sockets that the test plays the server of. */

import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createClient, type Delivery, type TidingsClient, TidingsError } from "../../src/index.ts";
import { event, lanes, published, refusal, resumed, welcome } from "../support/script.ts";
import { make, open, passing, subscribed } from "../support/scripted-client.ts";
import { eventually, FakePage, FakeSocket } from "../support/socket.ts";

describe("connecting", () => {
  test("nothing is connected before something is wanted, and then once", async () => {
    const client = make();
    expect(client.state).toBe("idle");
    client.subscribe("content.*", () => {});
    client.subscribe("user.*", () => {});
    const socket = await FakeSocket.made();
    socket.says(welcome());
    expect(client.state).toBe("open");
    expect(socket.sent.map(({ events }) => events)).toEqual([["content.*"], ["user.*"]]);
    expect(FakeSocket.all).toHaveLength(1);
  });

  test("the token is a subprotocol, and what none can be is one that the server refuses", async () => {
    const [, socket] = await open({ token: "a b" });
    expect(socket.protocols).toEqual(["tidings.v1", "tidings.bearer.a%20b"]);
  });

  test.each([
    ["wss://host.example", "wss://host.example/ws"],
    ["https://host.example/", "wss://host.example/ws"],
    ["http://host.example:8080/ws", "ws://host.example:8080/ws"],
    [new URL("ws://host.example/tidings/?x=1#y"), "ws://host.example/tidings/ws"],
  ])("%s is reached at %s", async (url, reached) => {
    const [, socket] = await open({ url });
    expect(socket.url).toBe(reached);
  });

  test.each([
    [undefined, "wss://panel.example/ws"],
    ["/", "wss://panel.example/ws"],
    ["/live", "wss://panel.example/live/ws"],
    ["//events.example", "wss://events.example/ws"],
  ])("on a page %s is reached at %s", async (url, reached) => {
    new FakePage();
    const [, socket] = await open({ url: url as string });
    expect(socket.url).toBe(reached);
  });

  test.each(["", "/live", "host.example", "ftp://host.example", "http://"])(
    "%j is no address outside of a page",
    (url) => {
      const message = expect.stringContaining("`url`");
      expect(() => createClient({ url })).toThrow(expect.objectContaining({ code: "invalid_url", message }));
    },
  );

  test("an address that the surroundings forbid is an error and tried again, as it may be another page's", async () => {
    class Forbidden extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        throw new DOMException("mixed content", "SecurityError");
      }
    }
    const client = make({ webSocket: Forbidden, transport: "websocket" });
    client.start();
    await eventually(() => expect(client.state).toBe("waiting"));
    expect(client.error).toMatchObject({
      code: "connection_failed",
      message: expect.stringContaining("mixed content"),
    });
  });

  test("without a WebSocket, where only that is wanted, it says what to do", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const client = passing(createClient({ url: "ws://host.example", token: "t1", transport: "websocket" }));
    client.start();
    await eventually(() => expect(client.error?.message).toContain("`webSocket`"));
  });

  test("on a page without a token it is the cookie's affair: over WebSocket only, and not shared", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const open = vi.fn();
    class Sharing {
      readonly open = open;
      readonly leave = () => {};
    }
    vi.doMock("../../src/shared/sharing.ts", () => ({ Sharing }));
    onTestFinished(() => void vi.doUnmock("../../src/shared/sharing.ts"));
    new FakePage();
    const fetch = vi.fn();
    vi.stubGlobal("fetch", fetch);
    const client = make({ token: "", shared: true });
    client.start();
    for (let count = 1; count < 5; count++) {
      const socket = await FakeSocket.made(count);
      expect(socket.protocols).toEqual(["tidings.v1"]);
      socket.fails();
    }
    expect(fetch).not.toHaveBeenCalled();
    expect(open).not.toHaveBeenCalled();
  });

  test("a connection that fails is an error that says what to look at, and is tried again", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const errors: TidingsError[] = [];
    const client = make({ transport: "websocket", onError: (error) => errors.push(error) });
    client.start();
    (await FakeSocket.made()).fails();
    expect(client.state).toBe("waiting");
    expect(client.error).toBeInstanceOf(TidingsError);
    expect(errors).toEqual([client.error]);
    expect(client.error?.message).toContain("does the server run there");
    (await FakeSocket.made(2)).says(welcome());
    expect(client.error).toBeNull();
  });

  test("starting again what has started changes nothing, also while it waits", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const [client, socket] = await open({ transport: "websocket" });
    client.start();
    socket.closes(1011);
    client.start();
    await new Promise((resolve) => setImmediate(resolve));
    expect(client.state).toBe("waiting");
    expect(socket.sent).toEqual([]);
  });

  test("what an old socket says is passed over", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const { socket, listener } = await subscribed();
    socket.closes(1011);
    const next = await FakeSocket.made(2);
    socket.says(event(11));
    socket.closes(4401);
    next.says(welcome());
    next.says(resumed(10, [{ id: "s0", offset: 10 }]));
    next.says(event(11));
    expect(listener).toHaveBeenCalledTimes(1);
  });

  test("stopping closes the socket, and starting again resumes", async () => {
    const { client, socket } = await subscribed();
    client.stop();
    await eventually(() => expect(client.state).toBe("closed"));
    expect(socket.closed).toBe(true);
    // The token was given for good.
    client.setToken("t1");
    client.start();
    const next = await FakeSocket.made(2);
    next.says(welcome());
    expect(next.sent).toMatchObject([{ type: "resume", since: { lanes: lanes(10) } }]);
  });

  test("one that was never started is stopped without anything being loaded", () => {
    const client = make();
    client.stop();
    expect(client.state).toBe("closed");
  });
});

describe("tokens", () => {
  test("one that does not change is used until the server does not want it any more", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const [client, socket] = await open();
    socket.closes(4419);
    await eventually(() => expect(client.state).toBe("unauthorized"));
    client.setToken("t2");
    expect((await FakeSocket.made(2)).protocols).toContain("tidings.bearer.t2");
  });

  test.each([null, "", undefined])("%j of `getToken` is none", async (token) => {
    const client = make({ getToken: () => token as string });
    client.start();
    await eventually(() => expect(client.state).toBe("unauthorized"));
    expect(client.error).toMatchObject({ code: "unauthorized" });
  });

  test("without any there is none", async () => {
    const client = make({ token: undefined as never });
    client.start();
    await eventually(() => expect(client.state).toBe("unauthorized"));
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
    ["rejects", () => Promise.reject(new Error("down"))],
  ])("a `getToken` that %s is asked again", async (_, getToken) => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const asked = vi.fn(getToken);
    const client = make({ getToken: asked });
    const errors: TidingsError[] = [];
    client.on("error", (error) => errors.push(error));
    client.start();
    await eventually(() => expect(asked.mock.calls.length).toBeGreaterThan(1));
    expect(errors[0]).toMatchObject({
      code: "no_token",
      cause: expect.objectContaining({ message: "down" }),
    });
  });

  test("a token of the application's own ends the question, whose answer is passed over", async () => {
    let answer = (_: string) => {};
    const signals: AbortSignal[] = [];
    const getToken = ({ signal }: { readonly signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise<string>((resolve) => {
        answer = resolve;
      });
    };
    const client = make({ getToken });
    client.start();
    await eventually(() => expect(signals).toHaveLength(1));
    client.setToken("t2");
    const socket = await FakeSocket.made();
    expect(signals[0]?.aborted).toBe(true);
    answer("t1");
    socket.says(welcome());
    await new Promise((resolve) => setImmediate(resolve));
    expect(socket.protocols).toContain("tidings.bearer.t2");
    expect(socket.sent).toEqual([]);
  });
});

describe("network and page", () => {
  test("a page without a network connects as soon as there is one", async () => {
    const page = new FakePage();
    page.navigator.onLine = false;
    const client = make();
    client.start();
    await eventually(() => expect(client.state).toBe("offline"));
    page.happens("online");
    await FakeSocket.made();
    page.happens("offline");
    expect(client.state).toBe("offline");
    expect(FakeSocket.all).toHaveLength(1);
  });

  test("a page that is shown again asks for a sign of life", async () => {
    const page = new FakePage();
    const [, socket] = await open();
    page.shows("hidden");
    expect(socket.sent).toEqual([]);
    page.shows("visible");
    expect(socket.sent).toEqual([{ type: "ping" }]);
  });

  test("a client that is stopped listens to neither", async () => {
    const page = new FakePage();
    const [client] = await open();
    client.stop();
    await eventually(() => expect(client.state).toBe("closed"));
    page.happens("offline");
    page.happens("online");
    page.shows("visible");
    expect(client.state).toBe("closed");
  });
});

describe("subscriptions", () => {
  test("a listener gets the event and where it stands", async () => {
    const { socket, listener, client } = await subscribed();
    socket.says(event(11, "low"));
    const sent = { type: "content.updated", data: { n: 11, tags: ["a", "b"] } };
    expect(listener.mock.calls).toEqual([[sent, { event: sent, offset: 11, lane: "low", recent: false }]]);
    expect(client.position).toEqual({ epoch: "e1", lanes: lanes(10, { low: 11 }) });
  });

  test("one that is ended within a listener gets nothing more", async () => {
    const { client, socket, subscription, listener } = await subscribed();
    const other = client.subscribe("content.*", () => subscription.unsubscribe());
    await eventually(() => expect(client.state).toBe("open"));
    await new Promise((resolve) => setImmediate(resolve));
    socket.says(event(11));
    socket.says(event(12));
    expect(listener).toHaveBeenCalledTimes(1);
    other.unsubscribe();
    await eventually(() => expect(socket.sent.at(-1)).toEqual({ type: "unsubscribe", id: "s0" }));
  });

  test("one that comes and goes in a turn is not told, and one that comes back is not told anew", async () => {
    const [client, socket] = await open();
    const first = client.subscribe("content.*", () => {});
    first.unsubscribe();
    first.unsubscribe();
    client.subscribe("content.*", () => {});
    await eventually(() => expect(socket.sent).toHaveLength(1));
  });

  test("a listener that throws costs the others nothing, and what it throws surfaces as its own", async () => {
    const { client, socket, listener } = await subscribed();
    const surfaced: unknown[] = [];
    vi.stubGlobal("queueMicrotask", (task: () => void) => {
      expect(task).toThrow();
      surfaced.push(listener.mock.results[0]?.value);
    });
    listener.mockImplementation(() => {
      throw new Error("of the application");
    });
    const other = vi.fn();
    client.subscribe("content.*", other);
    await new Promise((resolve) => setImmediate(resolve));
    socket.says(event(11));
    expect(surfaced).toEqual([new Error("of the application")]);
    expect(other).toHaveBeenCalledTimes(1);
    expect(client.state).toBe("open");
  });

  test("an error ends the one that it is about, and goes to the client where the subscription takes none", async () => {
    const errors: string[] = [];
    const [client, socket] = await open({ onError: (error) => errors.push(`client ${error.code}`) });
    client.subscribe("content.*", () => {}, { onError: (error) => errors.push(`own ${error.code}`) });
    client.subscribe("user.*", () => {});
    await eventually(() => expect(socket.sent).toHaveLength(2));
    socket.says(refusal("s0", "forbidden"));
    socket.says(refusal("s1", "invalid_event_type"));
    expect(errors).toEqual(["own forbidden", "client invalid_event_type"]);
  });

  test("what is undefined in a filter is not in it, and what JSON cannot write is thrown", async () => {
    const [client, socket] = await open();
    const filter = { type: undefined, contentId: ["c1"] };
    client.subscribe("content.*", () => {}, { filter: filter as never });
    filter.contentId.push("c2");
    await eventually(() => expect(socket.sent).toHaveLength(1));
    expect(socket.sent[0]).toMatchObject({ filter: { contentId: ["c1"] } });
    expect(() => client.subscribe("*", () => {}, { filter: { "a.b": 1n as never } })).toThrow(TypeError);
  });

  test("a signal ends it, also one that has ended before", async () => {
    const [client, socket] = await open();
    const signal = new AbortController();
    client.subscribe("content.*", () => {}, { signal: signal.signal });
    client.subscribe("user.*", () => {}, { signal: AbortSignal.abort() });
    await eventually(() => expect(socket.sent).toHaveLength(1));
    signal.abort();
    await eventually(() => expect(socket.sent.at(-1)).toEqual({ type: "unsubscribe", id: "s0" }));
  });

  test("listeners of the client end by what they return or by their signal", async () => {
    const { client, socket } = await subscribed();
    const signal = new AbortController();
    const [ended, aborted, listening] = [vi.fn(), vi.fn(), vi.fn()];
    client.on("gap", ended)();
    client.on("gap", aborted, { signal: signal.signal });
    client.on("gap", listening);
    client.on("gap", listening)();
    signal.abort();
    socket.says({ type: "gap", lane: "low", after: 10, until: 12, reason: "expired" });
    expect([ended, aborted, listening].map(({ mock }) => mock.calls.length)).toEqual([0, 0, 1]);
    expect(listening).toHaveBeenCalledWith({ lane: "low", after: 10, until: 12, reason: "expired" });
  });

  test("a client's signal stops it", async () => {
    const signal = new AbortController();
    const [client, socket] = await open({ signal: signal.signal });
    signal.abort();
    await eventually(() => expect(client.state).toBe("closed"));
    expect(socket.closed).toBe(true);
    client.start();
    await new Promise((resolve) => setImmediate(resolve));
    expect(client.state).toBe("closed");
  });
});

describe("streams", () => {
  async function stream(options: Parameters<TidingsClient["events"]>[1] = {}) {
    const [client, socket] = await open();
    const events = client.events("content.*", options);
    await eventually(() => expect(socket.sent).toHaveLength(1));
    socket.says({ type: "subscribed", id: "s0", offset: 10 });
    return { client, socket, events };
  }

  function offset(result: IteratorResult<Delivery<unknown>>): number | undefined {
    return result.done ? undefined : result.value.offset;
  }

  test("a loop gets what came before it and what comes after, in order", async () => {
    const { socket, events } = await stream();
    socket.says(event(11));
    const seen: number[] = [];
    for await (const one of events) {
      seen.push(one.offset);
      if (seen.length === 3) break;
      // Twice while the loop works, once while it waits.
      if (seen.length === 1) socket.says(event(12));
      else setImmediate(() => socket.says(event(13)));
    }
    expect(seen).toEqual([11, 12, 13]);
    await eventually(() => expect(socket.sent.at(-1)).toEqual({ type: "unsubscribe", id: "s0" }));
  });

  test("who does not take them in time loses the oldest, and is told how many", async () => {
    const { socket, events } = await stream({ buffer: 2 });
    for (let number = 11; number <= 15; number++) socket.says(event(number));
    expect(events.dropped).toBe(3);
    expect([offset(await events.next()), offset(await events.next())]).toEqual([14, 15]);
  });

  test("several that wait are served in the order in which they came", async () => {
    const { socket, events } = await stream();
    const waiting = [events.next(), events.next()];
    socket.says(event(11));
    socket.says(event(12));
    expect((await Promise.all(waiting)).map(offset)).toEqual([11, 12]);
  });

  test("it ends with its signal, its client and its loop, also for one that waits", async () => {
    const signal = new AbortController();
    const { client, events } = await stream({ signal: signal.signal });
    const waiting = events.next();
    signal.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });

    const stopped = client.events("user.*");
    const returned = client.events("user.*");
    const waits = returned.next();
    await returned.return?.();
    expect((await waits).done).toBe(true);
    client.stop();
    expect((await stopped.next()).done).toBe(true);
    expect((await client.events("*", { signal: AbortSignal.abort() }).next()).done).toBe(true);
  });

  test("what it has is given before the error that ended it", async () => {
    const { socket, events } = await stream();
    socket.says(event(11));
    socket.says(refusal("s0", "forbidden"));
    expect(offset(await events.next())).toBe(11);
    await expect(events.next()).rejects.toMatchObject({ code: "forbidden" });
  });

  test("a fault that ends the client ends it with that", async () => {
    const { socket, events } = await stream();
    socket.closes(1009, "too large");
    await expect(events.next()).rejects.toMatchObject({ code: "protocol" });
  });
});

describe("publishing", () => {
  const edit = { type: "content.updated", data: {} };

  test("a publish gives what the server says of it", async () => {
    const [client, socket] = await open();
    const answer = client.publish({ ...edit, id: "e1" });
    await eventually(() =>
      expect(socket.sent).toEqual([{ type: "publish", id: "p0", event: { ...edit, id: "e1" } }]),
    );
    socket.says(published("p0"));
    expect(await answer).toEqual({ eventId: "x", offset: 7, duplicate: false });
  });

  test("one without an id gets one, and no two the same", async () => {
    const [client, socket] = await open();
    client.publish(edit).catch(() => {});
    client.publish(edit).catch(() => {});
    await eventually(() => expect(socket.sent).toHaveLength(2));
    const ids = socket.sent.map((one) => (one.event as { id: string }).id);
    expect(new Set(ids).size).toBe(2);
    expect(ids.every((id) => 1 <= id.length && id.length <= 128)).toBe(true);
  });

  test("a refusal rejects with the server's faults", async () => {
    const [client, socket] = await open();
    const answer = client.publish(edit);
    await eventually(() => expect(socket.sent).toHaveLength(1));
    const details = [{ path: "$.data.title", message: "is required" }];
    socket.says({ ...refusal("p0", "invalid_event"), details });
    await expect(answer).rejects.toMatchObject({ code: "invalid_event", details });
  });

  test("a stop rejects what waits, and what comes after", async () => {
    const [client] = await open();
    const answer = client.publish(edit);
    client.stop();
    await expect(answer).rejects.toMatchObject({ code: "stopped" });
    await expect(client.publish(edit)).rejects.toMatchObject({
      code: "stopped",
      message: expect.stringContaining("start"),
    });
  });

  test("a signal ends the wait, also one that has ended before", async () => {
    const [client, socket] = await open();
    const signal = new AbortController();
    const answer = client.publish(edit, { signal: signal.signal });
    await eventually(() => expect(socket.sent).toHaveLength(1));
    signal.abort(new Error("enough"));
    await expect(answer).rejects.toMatchObject({ code: "stopped", cause: new Error("enough") });
    socket.says(published("p0"));
    await expect(client.publish(edit, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "stopped",
    });
  });
});
