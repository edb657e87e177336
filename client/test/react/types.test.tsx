/** What an editor completes and a compiler refuses. */

import { renderHook } from "@testing-library/react";
import { expectTypeOf, test } from "vitest";
import { useAnalyticsEvents, useContentEvents, useEvents, useWebSocket } from "../../src/react/index.ts";
import { FakeClient } from "../support/fake-client.ts";
import { withClient } from "./support.tsx";

const wrapper = withClient(new FakeClient());

test("an event's type tells its data, at the top as well", () => {
  const { result } = renderHook(() => useAnalyticsEvents(), { wrapper });

  for (const event of result.current.events) {
    expectTypeOf(event.message).toEqualTypeOf<string | undefined>();
    expectTypeOf(event.data).toHaveProperty("timestamp");
    if (event.type === "analytics.traffic_update") {
      expectTypeOf(event.pageViews).toEqualTypeOf<number>();
      expectTypeOf(event.data.pageViews).toEqualTypeOf<number>();
    }
  }
});

test("the named types are those of the events, and a field of the envelope keeps its type", () => {
  const { result } = renderHook(() => useContentEvents({ types: ["content.created", "content.deleted"] }), {
    wrapper,
  });

  type Event = (typeof result.current.events)[number];
  expectTypeOf<Event["type"]>().toEqualTypeOf<"content.created" | "content.deleted">();
  expectTypeOf<Event["title"]>().toEqualTypeOf<string>();
  expectTypeOf<Event["data"]["type"]>().toEqualTypeOf<string>();
  expectTypeOf(result.current.lastEvent).toEqualTypeOf<Event | null>();
});

test("a filter has the fields of the types that are asked for", () => {
  renderHook(() => useContentEvents({ filter: { status: ["draft", "review"], "changes.title": "x" } }), {
    wrapper,
  });
  // @ts-expect-error: no such status.
  renderHook(() => useContentEvents({ filter: { status: "drafted" } }), { wrapper });
  // @ts-expect-error: a field of another category.
  renderHook(() => useContentEvents({ filter: { settingKey: "theme" } }), { wrapper });
  // @ts-expect-error: a type of another category.
  renderHook(() => useContentEvents({ types: ["user.login"] }), { wrapper });
});

test("a type that the server's configuration adds has unknown data", () => {
  const { result } = renderHook(() => useEvents("billing.paid"), { wrapper });

  expectTypeOf(result.current.lastEvent?.amount).toEqualTypeOf<unknown>();
});

test("subscriptions of a connection and its messages are typed", () => {
  const { result } = renderHook(
    () =>
      useWebSocket({
        token: null,
        subscriptions: ["user.*", { types: ["settings.updated"], filter: { settingKey: "theme" } }],
      }),
    { wrapper },
  );

  expectTypeOf(result.current.lastMessage?.userId).toEqualTypeOf<string | undefined>();
  expectTypeOf(result.current.subscribe("content.*", { type: "blog" })).toEqualTypeOf<string>();
  // @ts-expect-error: no field of that type.
  result.current.subscribe("content.*", { settingKey: "theme" });
});
