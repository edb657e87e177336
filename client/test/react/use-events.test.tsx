/** The hooks that keep the newest events, over a fake client. */

import { act, render, renderHook } from "@testing-library/react";
import { StrictMode, version } from "react";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { TidingsError } from "../../src/errors.ts";
import { Connections, LINGER_MS } from "../../src/react/connection.ts";
import { EventList } from "../../src/react/event-list.ts";
import { useAnalyticsEvents, useContentEvents, useEvents, useSystemEvents } from "../../src/react/index.ts";
import { event, FakeClient } from "../support/fake-client.ts";
import { frame, withClient } from "./support.tsx";

let client: FakeClient;
beforeEach(() => {
  vi.useFakeTimers();
  client = new FakeClient();
});

const titles = (events: readonly { readonly title?: unknown }[]) => events.map(({ title }) => title);
const content = (title: string, data: object = {}) => event("content.updated", { title, ...data });

function Feed({ name = "", onEvents }: { name?: string; onEvents?: (name: string) => void }) {
  const { events } = useContentEvents();
  if (events.length > 0) onEvents?.(name);
  return null;
}

test("these tests run with the React that their project names", () => {
  expect(version.split(".")[0]).toBe(process.env.REACT);
});

test("events are there newest first, as many as the limit says", () => {
  const { result } = renderHook(() => useContentEvents({ limit: 2 }), { wrapper: withClient(client) });

  for (const title of ["a", "b", "c"]) client.deliver(content(title));
  frame();
  client.deliver(content("d"));
  frame();

  expect(titles(result.current.events)).toEqual(["d", "c"]);
  expect(result.current.lastEvent).toBe(result.current.events[0]);
});

test("the fields of an event's data are readable at the top, where the envelope has none of that name", () => {
  const { result } = renderHook(() => useContentEvents(), { wrapper: withClient(client) });

  client.deliver(content("a", { type: "blog", subject: "Hello" }));
  frame();

  const [first] = result.current.events;
  expect(first).toMatchObject({ title: "a", type: "content.updated", data: { title: "a", type: "blog" } });
  // This event's envelope has no subject, and the name is the envelope's.
  expect(first?.subject).toBeUndefined();
});

test("a hook asks for its category, or for the types that it names", () => {
  const wrapper = withClient(client);
  renderHook(() => useAnalyticsEvents({ recent: 20 }), { wrapper });
  renderHook(() => useContentEvents({ types: ["content.updated"], filter: { type: "blog" } }), { wrapper });

  const [all, some] = client.subscriptions.values();
  expect(all).toMatchObject({ events: ["analytics.*"], options: { recent: 20 } });
  expect(all?.options).not.toHaveProperty("filter");
  expect(some).toMatchObject({ events: ["content.updated"], options: { filter: { type: "blog" } } });
});

test("without a type there is no subscription", () => {
  renderHook(() => useContentEvents({ types: [] }), { wrapper: withClient(client) });

  expect(client.calls).toEqual([]);
});

test("however many events come before a frame, the component is rendered once", () => {
  let renders = 0;
  const onEvent = vi.fn();
  const { result } = renderHook(
    () => {
      renders += 1;
      return useContentEvents({ limit: 10, onEvent });
    },
    { wrapper: withClient(client) },
  );
  renders = 0;

  for (let n = 1; n <= 1000; n += 1) client.deliver(content(`${n}`));
  frame();

  expect(renders).toBe(1);
  expect(titles(result.current.events)).toEqual(Array.from({ length: 10 }, (_, at) => `${1000 - at}`));
  expect(onEvent).toHaveBeenCalledTimes(1000);
});

test("several components are rendered in one commit", () => {
  const commits: string[] = [];
  const onEvents = (name: string) => commits.push(name);
  render(
    [<Feed key="1" name="first" onEvents={onEvents} />, <Feed key="2" name="second" onEvents={onEvents} />],
    {
      wrapper: withClient(client),
    },
  );

  client.deliver(content("a"));
  expect(commits).toEqual([]);
  frame();

  expect(commits).toEqual(["first", "second"]);
});

test("a page without frames is rendered by a timer", () => {
  vi.stubGlobal("requestAnimationFrame", () => 0);
  vi.stubGlobal("cancelAnimationFrame", () => {});
  const { result } = renderHook(() => useContentEvents(), { wrapper: withClient(client) });

  client.deliver(content("a"));
  act(() => void vi.advanceTimersByTime(100));

  expect(titles(result.current.events)).toEqual(["a"]);
});

test("a component is not rendered for events that it did not ask for", () => {
  let renders = 0;
  renderHook(
    () => {
      renders += 1;
      return useContentEvents({ filter: { type: "blog" } });
    },
    { wrapper: withClient(client) },
  );
  renders = 0;

  client.deliver(event("user.login"));
  client.deliver(content("a", { type: "page" }));
  frame();

  expect(renders).toBe(0);
});

test("a filter that is written anew at each render subscribes once", () => {
  const { rerender } = renderHook(
    () => useContentEvents({ types: ["content.updated"], filter: { type: ["blog", "page"] } }),
    {
      wrapper: withClient(client),
    },
  );

  rerender();
  rerender();

  expect(client.calls).toEqual(["subscribe content.updated"]);
});

test("another filter begins with an empty list, and the old subscription ends after the new one has begun", () => {
  const { result, rerender } = renderHook(({ type }) => useContentEvents({ filter: { type } }), {
    wrapper: withClient(client),
    initialProps: { type: "blog" },
  });
  client.deliver(content("a", { type: "blog" }));
  frame();

  rerender({ type: "page" });
  expect(result.current.events).toEqual([]);
  client.deliver(content("b", { type: "blog" }));
  client.deliver(content("c", { type: "page" }));
  frame();
  vi.advanceTimersByTime(LINGER_MS);

  expect(titles(result.current.events)).toEqual(["c"]);
  expect(client.calls).toEqual(["subscribe content.*", "subscribe content.*", "unsubscribe content.*"]);
  expect([...client.subscriptions.values()].map(({ options }) => options.filter)).toEqual([{ type: "page" }]);
});

test("another limit keeps what is there and subscribes to nothing", () => {
  const { result, rerender } = renderHook(({ limit }) => useContentEvents({ limit }), {
    wrapper: withClient(client),
    initialProps: { limit: 3 },
  });
  for (const title of ["a", "b", "c"]) client.deliver(content(title));
  frame();

  rerender({ limit: 2 });
  expect(titles(result.current.events)).toEqual(["c", "b"]);
  rerender({ limit: 3 });
  client.deliver(content("d"));
  frame();

  expect(titles(result.current.events)).toEqual(["d", "c", "b"]);
  expect(client.calls).toEqual(["subscribe content.*"]);
});

test("clear forgets what has come, also what waits for a frame", () => {
  const { result } = renderHook(() => useContentEvents(), { wrapper: withClient(client) });
  const { clear } = result.current;
  client.deliver(content("a"));
  frame();
  client.deliver(content("b"));

  act(() => clear());
  frame();

  expect(result.current).toMatchObject({ events: [], lastEvent: null });
  expect(result.current.clear).toBe(clear);
});

test("under StrictMode there is one subscription, and it stays", () => {
  renderHook(() => useContentEvents(), {
    wrapper: ({ children }) => <StrictMode>{withClient(client)({ children })}</StrictMode>,
  });

  vi.advanceTimersByTime(2 * LINGER_MS);

  expect(client.calls).toEqual(["subscribe content.*"]);
});

test("a component that takes the place of one that asked for the same finds its subscription still there", () => {
  const { rerender } = render(<Feed key="1" />, { wrapper: withClient(client) });

  rerender(<Feed key="2" />);
  vi.advanceTimersByTime(LINGER_MS);

  expect(client.calls).toEqual(["subscribe content.*", "subscribe content.*", "unsubscribe content.*"]);
});

test("an unmounted component's subscription ends, and what comes until then is not told", () => {
  const onEvent = vi.fn();
  const { unmount } = renderHook(() => useContentEvents({ onEvent }), { wrapper: withClient(client) });

  unmount();
  client.deliver(content("a"));
  vi.advanceTimersByTime(LINGER_MS);

  expect(onEvent).not.toHaveBeenCalled();
  expect(client.subscriptions.size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

describe("a component that was out of sight for longer, and asks for events from before again,", () => {
  const onEvent = vi.fn();
  /** Ends the component's effects, or begins them again, as `Activity` does. */
  let show: (shown: boolean) => void;
  let titlesNow: () => unknown[];
  let clear: () => void;
  const from = (first: number, titles: string[], recent: boolean) => {
    for (const [at, title] of titles.entries())
      client.deliver(content(title), { offset: first + at, recent });
    frame();
  };
  const begin = (epoch: string) => {
    client.position = { epoch, lanes: { critical: 0, high: 0, normal: 0, low: 0 } };
    for (const { options } of client.subscriptions.values())
      options.onBegin?.({ offset: 1, truncated: false });
  };
  beforeEach(() => {
    onEvent.mockClear();
    const connection = new Connections(() => client, {}, client).at(undefined);
    const wanted = { patterns: ["content.*"] as const, filter: undefined, recent: 4 };
    const list = new EventList(connection, wanted, { limit: 2, onEvent });
    let hide = () => {};
    show = (shown) => {
      hide();
      hide = shown ? list.subscribe(() => {}) : () => {};
      vi.advanceTimersByTime(LINGER_MS);
    };
    titlesNow = () => titles(list.getSnapshot().events);
    clear = list.clear;
    show(true);
    begin("1");
    from(1, ["a", "b", "c"], true);
    from(4, ["d"], false);
    show(false);
    show(true);
  });

  test("has those that are new, in order, and is told of none twice", () => {
    begin("1");
    from(2, ["b", "c", "d", "e"], true);

    expect(titlesNow()).toEqual(["e", "d"]);
    expect(onEvent.mock.calls.map(([{ title }]) => title)).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("does not have again what it has cleared", () => {
    clear();
    begin("1");
    from(1, ["a", "b", "c", "d"], true);

    expect(titlesNow()).toEqual([]);
  });

  test("has what is in a log that has begun anew", () => {
    begin("2");
    from(1, ["x"], true);

    expect(titlesNow()).toEqual(["x", "d"]);
  });
});

test("a subscription that the server refuses has its error in the hook, until it begins", () => {
  const { result } = renderHook(() => useSystemEvents(), { wrapper: withClient(client) });
  const [subscription] = client.subscriptions.values();
  const error = new TidingsError("forbidden", "The token does not allow system.*.");

  act(() => subscription?.options.onError?.(error));
  expect(result.current.error).toBe(error);
  act(() => subscription?.options.onBegin?.({ offset: 1, truncated: false }));

  expect(result.current.error).toBeNull();
});

test("a subscription that was refused is asked for again with another token, and one that goes on is left alone", () => {
  const wrapper = withClient(client);
  const { result, rerender } = renderHook(
    ({ token }) => [useSystemEvents({ token }), useContentEvents()] as const,
    { wrapper, initialProps: { token: "t1" } },
  );
  const error = new TidingsError("forbidden", "The token does not allow system.*.");
  act(() => [...client.subscriptions.values()][0]?.options.onError?.(error));
  client.calls.length = 0;

  rerender({ token: "t2" });
  rerender({ token: "t3" });

  expect(client.calls).toEqual(["setToken t2", "subscribe system.*", "setToken t3"]);
  expect(result.current[0].error).toBeNull();
});

test("a refusal that comes after the next token is no error, and that subscription is asked for again once", () => {
  const { result, rerender } = renderHook(({ token }) => useSystemEvents({ token }), {
    wrapper: withClient(client),
    initialProps: { token: "t1" },
  });
  const error = new TidingsError("forbidden", "The token does not allow system.*.");
  client.calls.length = 0;

  rerender({ token: "t2" });
  act(() => client.refuse(error));
  expect(client.calls).toEqual(["setToken t2", "subscribe system.*"]);
  expect(result.current.error).toBeNull();
  act(() => client.refuse(error));

  expect(client.calls).toEqual(["setToken t2", "subscribe system.*"]);
  expect(result.current.error).toBe(error);
});

test("a hook knows whether it is connected, and is rendered when that changes only", () => {
  let renders = 0;
  const { result } = renderHook(
    () => {
      renders += 1;
      return useEvents("*");
    },
    { wrapper: withClient(client) },
  );
  renders = 0;

  act(() => client.become("connecting"));
  act(() => client.become("waiting"));
  expect(renders).toBe(0);
  act(() => client.become("open"));

  expect(renders).toBe(1);
  expect(result.current.isConnected).toBe(true);
});
