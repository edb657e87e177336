/** A page that reloads goes on where it was, where that is asked for. */

import { describe, expect, test, vi } from "vitest";
import { event, lanes, resumed, welcome } from "../support/script.ts";
import { make, open, subscribed } from "../support/scripted-client.ts";
import { FakePage, FakeSocket } from "../support/socket.ts";

describe("a page that reloads", () => {
  test("goes on where it was, with what is subscribed to as before", async () => {
    const page = new FakePage();
    const { client, socket } = await subscribed({ persist: true });
    socket.says(event(12));
    page.shows("hidden");
    client.stop();

    const [after, next] = await (async () => {
      const client = make({ persist: true });
      const listener = vi.fn();
      client.subscribe("content.*", listener);
      client.subscribe("content.*", () => {}, { recent: 5 });
      client.subscribe("user.*", () => {});
      return [listener, await FakeSocket.made(2)] as const;
    })();
    next.says(welcome());
    const since = { epoch: "e1", lanes: lanes(10, { normal: 12 }) };
    const subscriptions = [{ from: 10, id: "s0", events: ["content.*"], filter: {} }];
    expect(next.sent).toEqual([{ type: "resume", id: "r", since, subscriptions }]);
    next.says(resumed(10, [{ id: "s0", offset: 10 }], { position: since }));
    next.says(event(12));
    next.says(event(11, "critical"));
    expect(after.mock.calls.map(([, delivery]) => delivery.offset)).toEqual([11]);
    expect(next.sent.slice(1)).toMatchObject([
      { type: "subscribe", events: ["content.*"], recent: 5 },
      { type: "subscribe", events: ["user.*"] },
    ]);
  });

  test.each([null, "", "{", "null", "7", '{"epoch":"e1"}', '{"epoch":"e1","lanes":{"critical":-1}}'])(
    "begins anew where %j was kept",
    async (kept) => {
      const page = new FakePage();
      if (kept !== null) page.sessionStorage.setItem("mine", kept);
      const { socket, client } = await subscribed({ persist: "mine" });
      expect(socket.sent).toMatchObject([{ type: "subscribe" }]);
      page.happens("pagehide");
      expect(JSON.parse(page.sessionStorage.getItem("mine") ?? "")).toMatchObject({ lanes: lanes(10) });
      client.stop();
    },
  );

  test("keeps nothing where nothing is subscribed to", async () => {
    const page = new FakePage();
    page.sessionStorage.setItem("mine", "{");
    await open({ persist: "mine" });
    page.happens("pagehide");
    expect(page.sessionStorage.items.size).toBe(0);
  });

  test("works without storage", async () => {
    const { socket } = await subscribed({ persist: true });
    expect(socket.sent).toMatchObject([{ type: "subscribe" }]);
  });
});
