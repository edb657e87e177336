/** `useWebSocket`, `useConnectionStatus` and the provider, over fake clients. */

import { act, render, renderHook } from "@testing-library/react";
import { StrictMode, useEffect } from "react";
import { beforeEach, expect, test, vi } from "vitest";
import type { ClientOptions } from "../../src/client/api.ts";
import { TidingsError } from "../../src/errors.ts";
import { LINGER_MS } from "../../src/react/connection.ts";
import {
  TidingsProvider,
  useConnectionStatus,
  useContentEvents,
  useUserEvents,
  useWebSocket,
} from "../../src/react/index.ts";
import { event, FakeClient } from "../support/fake-client.ts";
import { frame, withClient } from "./support.tsx";

const made = vi.hoisted((): FakeClient[] => []);
vi.mock("../../src/client/client.ts", () => ({
  createClient: (options: ClientOptions) => {
    const client = new FakeClient(options);
    made.push(client);
    return client;
  },
}));

/** What the client is answered when it asks for a token. */
const asked = async (client: FakeClient | undefined) =>
  client?.options.getToken?.({ signal: new AbortController().signal });

let client: FakeClient;
beforeEach(() => {
  vi.useFakeTimers();
  client = new FakeClient();
  made.length = 0;
});

test("it connects, and says how it stands", async () => {
  const { result } = renderHook(() => useWebSocket({ token: "t1" }));
  expect(made[0]?.calls).toEqual(["start"]);
  expect(await asked(made[0])).toBe("t1");
  expect(result.current).toMatchObject({ isConnected: false, status: "connecting", error: null });

  act(() => made[0]?.become("open"));
  expect(result.current).toMatchObject({ isConnected: true, status: "open", error: null });
  const error = new TidingsError("unauthorized", "The token is not accepted.");
  act(() => made[0]?.become("unauthorized", error));

  expect(result.current).toMatchObject({ isConnected: false, status: "unauthorized", error });
});

test("what it declares is subscribed to, by value; what stays in a new list is left alone", () => {
  const { rerender } = renderHook(
    ({ types }) => useWebSocket({ subscriptions: ["user.*", { types, filter: { type: "blog" } }] }),
    { wrapper: withClient(client), initialProps: { types: ["content.updated"] } },
  );

  rerender({ types: ["content.updated"] });
  rerender({ types: ["content.deleted"] });

  expect(client.calls).toEqual([
    "subscribe user.*",
    "subscribe content.updated",
    "start",
    "subscribe content.deleted",
    "unsubscribe content.updated",
  ]);
});

test("subscribe and unsubscribe are always the same functions, and an id ends its own subscription", () => {
  const { result, rerender } = renderHook(() => useWebSocket(), { wrapper: withClient(client) });
  const { subscribe, unsubscribe } = result.current;

  const first = subscribe("content.*", { type: "blog" });
  const second = subscribe(["user.login", "user.logout"]);
  rerender();
  unsubscribe(first);
  unsubscribe(first);

  expect(first).not.toBe(second);
  expect(result.current).toMatchObject({ subscribe, unsubscribe });
  expect([...client.subscriptions.values()].map(({ events }) => events)).toEqual([
    ["user.login", "user.logout"],
  ]);
});

function SubscribesInAnEffect() {
  const { subscribe, unsubscribe } = useWebSocket();
  useEffect(() => {
    const id = subscribe("content.*");
    return () => unsubscribe(id);
  }, [subscribe, unsubscribe]);
  return null;
}

test("a subscription made in an effect is there once under StrictMode, and gone after unmounting", () => {
  const { unmount } = render(<SubscribesInAnEffect />, {
    wrapper: ({ children }) => <StrictMode>{withClient(client)({ children })}</StrictMode>,
  });
  vi.advanceTimersByTime(2 * LINGER_MS);
  expect(client.subscriptions.size).toBe(1);

  unmount();
  vi.advanceTimersByTime(LINGER_MS);

  expect(client.subscriptions.size).toBe(0);
});

test("lastMessage is the newest of a frame, and onMessage is told of each once", () => {
  const onMessage = vi.fn();
  const { result } = renderHook(
    () => {
      const { lastMessage } = useWebSocket({ subscriptions: ["content.*", "content.updated"], onMessage });
      return lastMessage;
    },
    { wrapper: withClient(client) },
  );
  expect(result.current).toBeNull();

  client.deliver(event("content.updated", { title: "a" }));
  client.deliver(event("content.updated", { title: "b" }));
  client.deliver(event("user.login"));
  frame();

  expect(result.current).toMatchObject({ type: "content.updated", title: "b" });
  expect(onMessage.mock.calls.map(([message]) => message.title)).toEqual(["a", "b"]);
});

test("a component that does not read lastMessage is not rendered for messages", () => {
  let renders = 0;
  const { result } = renderHook(
    () => {
      renders += 1;
      return useWebSocket({ subscriptions: ["*"] });
    },
    { wrapper: withClient(client) },
  );
  renders = 0;

  client.deliver(event("user.login"));
  frame();
  expect(renders).toBe(0);
  expect(result.current.lastMessage).toBeNull();
  client.deliver(event("user.logout"));
  frame();

  expect(renders).toBe(1);
  expect(result.current.lastMessage).toMatchObject({ type: "user.logout" });
});

test("a refused subscription is the hook's error until it is ended", () => {
  const { result } = renderHook(() => useWebSocket({ subscriptions: ["content.*"] }), {
    wrapper: withClient(client),
  });
  const id = result.current.subscribe("system.*");
  const [content, system] = [...client.subscriptions.values()];
  const error = new TidingsError("forbidden", "The token does not allow system.*.");

  act(() => system?.options.onError?.(error));
  act(() => content?.options.onBegin?.({ offset: 1, truncated: false }));
  expect(result.current.error).toBe(error);
  act(() => result.current.unsubscribe(id));

  expect(result.current.error).toBeNull();
});

test("another address takes the subscriptions along, and ids stay what they were", () => {
  const { result, rerender } = renderHook(({ url }) => useWebSocket({ url, token: "t1" }), {
    initialProps: { url: "/a" },
  });
  const id = result.current.subscribe("content.*");

  rerender({ url: "/b" });
  vi.advanceTimersByTime(LINGER_MS);

  expect(made.map(({ options }) => options.url)).toEqual(["/a", "/b"]);
  expect(made[0]?.calls.slice(-2)).toEqual(["unsubscribe content.*", "stop"]);
  expect(made[1]?.subscriptions.size).toBe(1);
  result.current.unsubscribe(id);
  expect(made[1]?.subscriptions.size).toBe(0);
});

test("an address that is left and taken again at once has the subscriptions, and keeps them", () => {
  const { rerender } = renderHook(({ url }) => useWebSocket({ url, subscriptions: ["content.*"] }), {
    initialProps: { url: "/a" },
  });

  rerender({ url: "/b" });
  rerender({ url: "/a" });
  vi.advanceTimersByTime(LINGER_MS);

  expect(made.map(({ subscriptions }) => subscriptions.size)).toEqual([1, 0]);
  expect(made.map(({ calls }) => calls.at(-1))).not.toContain("unsubscribe content.*");
});

test("a refused subscription is asked for again with another token, the others are left alone", () => {
  const { result, rerender } = renderHook(
    ({ token }) => useWebSocket({ token, subscriptions: ["content.*", "system.*"] }),
    { wrapper: withClient(client), initialProps: { token: "t1" } },
  );
  const [, system] = client.subscriptions.values();
  act(() => system?.options.onError?.(new TidingsError("forbidden", "Not allowed.")));
  client.calls.length = 0;

  rerender({ token: "t2" });
  rerender({ token: "t3" });

  expect(client.calls).toEqual(["setToken t2", "subscribe system.*", "setToken t3"]);
  expect(result.current.error).toBeNull();
});

test("a refusal that comes after the next token is no error, and that subscription is asked for again once", () => {
  const { result, rerender } = renderHook(
    ({ token }) => useWebSocket({ token, subscriptions: ["system.*"] }),
    { wrapper: withClient(client), initialProps: { token: "t1" } },
  );
  const error = new TidingsError("forbidden", "Not allowed.");
  client.calls.length = 0;

  rerender({ token: "t2" });
  act(() => client.refuse(error));
  expect(client.calls).toEqual(["setToken t2", "subscribe system.*"]);
  expect(result.current.error).toBeNull();
  act(() => client.refuse(error));

  expect(result.current.error).toBe(error);
});

function Page({ token }: { token?: string | null }) {
  useWebSocket({ token });
  return <List />;
}

function Other() {
  useWebSocket({ url: "wss://other.example", token: "t2" });
  return null;
}

function List() {
  useContentEvents();
  useUserEvents();
  useConnectionStatus();
  return null;
}

test("without a provider the hooks of a page share one connection, with the token that one of them knows", async () => {
  render(<Page token="t1" />);

  expect(made.map(({ calls }) => calls)).toEqual([["subscribe content.*", "subscribe user.*", "start"]]);
  expect(await asked(made[0])).toBe("t1");
});

test("a fresh token reaches the client in place", () => {
  const { rerender } = render(<Page token={null} />);
  const before = made[0]?.calls.length;

  rerender(<Page token="t1" />);
  rerender(<Page token="t2" />);

  expect(made).toHaveLength(1);
  expect(made[0]?.calls.slice(before)).toEqual(["setToken t1", "setToken t2"]);
});

test("a provider gives the address, a hook below it the token, and another address is another connection", async () => {
  const onGap = vi.fn();
  render(
    <TidingsProvider url="wss://events.example" persist="admin" onGap={onGap}>
      <Page token="t1" />
      <Other />
    </TidingsProvider>,
  );

  expect(made.map(({ options }) => [options.url, options.persist])).toEqual([
    ["wss://events.example", "admin"],
    ["wss://other.example", "admin"],
  ]);
  expect(await Promise.all(made.map(asked))).toEqual(["t1", "t2"]);
  const gap = { lane: "low", until: 7, reason: "expired" } as const;
  made[0]?.options.onGap?.(gap);
  expect(onGap).toHaveBeenCalledWith(gap);
});

test("a provider keeps its connection while no hook needs it, and stops it when it goes", () => {
  const { rerender, unmount } = render(
    <TidingsProvider token="t1">
      <Page />
    </TidingsProvider>,
  );
  rerender(<TidingsProvider token="t1" />);
  vi.advanceTimersByTime(2 * LINGER_MS);
  expect(made[0]?.calls.slice(-2)).toEqual(["unsubscribe content.*", "unsubscribe user.*"]);

  unmount();
  vi.advanceTimersByTime(LINGER_MS);

  expect(made).toHaveLength(1);
  expect(made[0]).toMatchObject({ watchers: 0 });
  expect(made[0]?.calls.at(-1)).toBe("stop");
});

test("a provider that is rendered anew keeps its connection, and one that asks for another transport gets another", () => {
  const page = (transport: "sse" | "auto") => (
    <TidingsProvider url={new URL("https://events.example")} transport={transport} onGap={() => {}}>
      <Page token="t1" />
    </TidingsProvider>
  );
  const { rerender } = render(page("auto"));
  rerender(page("auto"));
  expect(made).toHaveLength(1);

  rerender(page("sse"));
  vi.advanceTimersByTime(LINGER_MS);

  expect(made.map(({ options }) => options.transport)).toEqual(["auto", "sse"]);
  expect(made.map(({ calls }) => calls.at(-1))).toEqual(["stop", "start"]);
});

test("showing the status connects nothing", () => {
  const { result } = renderHook(() => useConnectionStatus());

  expect(made[0]?.calls).toEqual([]);
  expect(result.current).toEqual({ isConnected: false, status: "idle", error: null });
});

test("a page that mounts and unmounts ten times at once has connected once", () => {
  const { rerender } = render(<Page token="t1" />);

  for (let round = 0; round < 10; round += 1) {
    rerender(<p />);
    rerender(<Page token="t1" />);
  }
  vi.advanceTimersByTime(2 * LINGER_MS);

  expect(made).toHaveLength(1);
  expect(made[0]?.calls).not.toContain("stop");
});
