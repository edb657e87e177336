/** What the compiler and the editor know of events and filters, by the type that is asked for. */

import { expectTypeOf, test } from "vitest";
import type { ContentUpdated, SettingsUpdated } from "../../src/generated/events.ts";
import type {
  ClientOptions,
  CloudEvent,
  EventOf,
  EventPattern,
  Filter,
  TidingsClient,
  TidingsEvent,
} from "../../src/index.ts";

test("a listener gets the events of what is subscribed to", () => {
  const subscribe = (it: TidingsClient) => {
    it.subscribe("settings.updated", (event, delivery) => {
      expectTypeOf(event).toEqualTypeOf<CloudEvent<"settings.updated", SettingsUpdated>>();
      expectTypeOf(delivery.event).toEqualTypeOf<typeof event>();
    });
    it.subscribe("content.*", (event) => {
      expectTypeOf(event.type).toEqualTypeOf<Extract<TidingsEvent["type"], `content.${string}`>>();
      expectTypeOf(event.data.contentId).toBeString();
      if (event.type === "content.updated") expectTypeOf(event.data).toEqualTypeOf<ContentUpdated>();
    });
    it.subscribe(["user.login", "settings.updated"], (event) => {
      expectTypeOf(event.type).toEqualTypeOf<"user.login" | "settings.updated">();
      if (event.type === "user.login") expectTypeOf(event.data.userId).toBeString();
    });
    it.subscribe("*", (event) => expectTypeOf(event).toEqualTypeOf<TidingsEvent>());
    // A type that the server's configuration adds has data of its own.
    it.subscribe("orders.placed", (event) => {
      expectTypeOf(event.type).toEqualTypeOf<"orders.placed">();
      expectTypeOf(event.data).toEqualTypeOf<Record<string, unknown>>();
    });
  };
  expectTypeOf(subscribe).toBeFunction();
});

test("a filter knows the fields of the types and what they may be compared with", () => {
  const filters = (it: TidingsClient) => {
    const ignore = () => {};
    it.subscribe("settings.updated", ignore, { filter: { settingKey: "theme" } });
    it.subscribe("settings.updated", ignore, { filter: { settingKey: ["theme", "logo"], newValue: 7 } });
    it.subscribe("content.*", ignore, { filter: { status: ["draft", "review"], tags: "news" } });
    it.subscribe("content.*", ignore, {
      filter: { "changes.title": "x", "@subject": "c1", "@source": ["/cms"] },
    });
    it.subscribe("system.health_check", ignore, { filter: { status: "degraded", latencyMs: 5 } });
    it.subscribe("orders.placed", ignore, { filter: { total: 5, paid: true, shop: null } });
    // @ts-expect-error: it has no such field.
    it.subscribe("settings.updated", ignore, { filter: { settingsKey: "theme" } });
    // @ts-expect-error: a key is a text.
    it.subscribe("settings.updated", ignore, { filter: { settingKey: 7 } });
    // @ts-expect-error: no service is that.
    it.subscribe("system.health_check", ignore, { filter: { status: "sick" } });
    // @ts-expect-error: a subject is a text.
    it.subscribe("content.*", ignore, { filter: { "@subject": 7 } });
    // @ts-expect-error: what is compared with is no object.
    it.subscribe("content.*", ignore, { filter: { title: { eq: "x" } } });
    it.events("content.updated", { filter: { contentId: "c1" }, buffer: 10 });
    // @ts-expect-error: streams know as much.
    it.events("content.updated", { filter: { userId: "u1" } });
  };
  expectTypeOf(filters).toBeFunction();
  expectTypeOf<{ readonly settingKey: "theme" }>().toExtend<Filter<"settings.updated">>();
});

test("a stream gives deliveries of its events", () => {
  const iterate = async (it: TidingsClient) => {
    for await (const { event, offset, lane } of it.events("user.*")) {
      expectTypeOf(event).toEqualTypeOf<EventOf<"user.*">>();
      expectTypeOf(offset).toBeNumber();
      expectTypeOf(lane).toEqualTypeOf<"critical" | "high" | "normal" | "low">();
    }
  };
  expectTypeOf(iterate).toBeFunction();
});

test("patterns complete and take others", () => {
  expectTypeOf<"content.*">().toExtend<EventPattern>();
  expectTypeOf<"*">().toExtend<EventPattern>();
  expectTypeOf<"orders.placed">().toExtend<EventPattern>();
  expectTypeOf<7>().not.toExtend<EventPattern>();
});

test("a published event has a type and data", () => {
  const publish = (it: TidingsClient) => [
    it.publish({ type: "content.updated", data: {} }),
    // @ts-expect-error: without data there is nothing to tell.
    it.publish({ type: "content.updated" }),
    // @ts-expect-error: there is no such priority.
    it.publish({ type: "content.updated", data: {}, priority: "urgent" }),
  ];
  expectTypeOf(publish).toBeFunction();
});

test("options are what they say", () => {
  expectTypeOf<{ url: URL; getToken: () => Promise<string | null> }>().toExtend<ClientOptions>();
  expectTypeOf<{ webSocket: typeof WebSocket }>().toExtend<ClientOptions>();
  expectTypeOf<{ webSocket: typeof import("ws").WebSocket }>().toExtend<ClientOptions>();
  expectTypeOf<{ transport: "carrier pigeon" }>().not.toExtend<ClientOptions>();
  expectTypeOf<TidingsClient["state"]>().toEqualTypeOf<
    "idle" | "connecting" | "open" | "waiting" | "offline" | "unauthorized" | "closed"
  >();
});
