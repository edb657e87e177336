/** The emitter's types: what the compiler accepts and what it refuses. The assertions are the compiler's own. */

import { expect, test } from "vitest";
import { type ContentUpdated, createEventEmitter } from "../../src/emitter/index.ts";

const emitter = createEventEmitter({
  url: "http://127.0.0.1:9",
  apiKey: "key",
  signal: AbortSignal.abort(),
  onError: () => {},
});
const data = {
  contentId: "p1",
  title: "Hello",
  type: "blog",
  status: "published",
  authorId: "u1",
} as const;

test("data has the fields of its type, a date for every timestamp, and further fields", () => {
  emitter.emitContentUpdated({ ...data, updatedAt: new Date() });
  emitter.emitContentUpdated({ ...data, updatedAt: "2026-01-31T08:00:00Z", tags: ["a"], slug: undefined });
  emitter.emitContentUpdated({ ...data, updatedAt: new Date(), tenantId: "t1" });
  emitter.emit("content.updated", { ...data, updatedAt: new Date() }, { priority: "high", time: new Date() });
  const received: ContentUpdated = { ...data, updatedAt: "2026-01-31T08:00:00Z" };
  emitter.emitContentUpdated(received);
  emitter.emit("shop.ordered", { orderId: 1 });
  emitter.emit("settings.updated", {
    settingKey: "theme",
    newValue: { a: [1] },
    updatedBy: "u1",
    updatedAt: new Date(),
  });

  // @ts-expect-error a required field is missing
  emitter.emitContentUpdated({ title: "Hello" });
  // @ts-expect-error a status is one of five
  emitter.emitContentUpdated({ ...data, status: "lost", updatedAt: new Date() });
  // @ts-expect-error a title is no timestamp
  emitter.emitContentUpdated({ ...data, title: new Date(), updatedAt: new Date() });
  // @ts-expect-error a required field is not `undefined`
  emitter.emitContentUpdated({ ...data, updatedAt: undefined });
  // @ts-expect-error the data is that of another type
  emitter.emit("content.deleted", { ...data, updatedAt: new Date() });
  // @ts-expect-error data is an object
  emitter.emit("shop.ordered", "order");
  expect(emitter.closed).toBe(true);
});

test("every event of a batch has the data of its type", async () => {
  const deleted = { contentId: "p1", title: "Hello", type: "blog", deletedAt: new Date() };
  const calls = [
    emitter.emitBatch([
      { type: "content.updated", data: { ...data, updatedAt: new Date(), tenantId: "t1" } },
      { type: "content.deleted", data: deleted, id: "e1" },
      { type: "shop.ordered", data: { orderId: 1 } },
    ]),
    emitter.emitBatch(
      ["a", "b"].map((contentId) => ({ type: "content.deleted", data: { ...deleted, contentId } })),
    ),
    emitter.emitBatch([
      { type: "content.deleted", data: deleted },
      // @ts-expect-error a required field is missing
      { type: "content.updated", data: { title: "Hello" } },
    ]),
    emitter.emitBatch([
      { type: "content.deleted", data: deleted },
      // @ts-expect-error the data is that of another type
      { type: "content.updated", data: deleted },
    ]),
  ];
  const results = await Promise.allSettled(calls);
  expect(results.map(({ status }) => status)).toEqual(Array(4).fill("rejected"));
});
