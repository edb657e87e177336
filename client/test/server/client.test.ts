/** The client against a real server, over real sockets. */

import { expect, test, vi } from "vitest";
import type { Gap } from "../../src/index.ts";
import { connect } from "../support/client.ts";
import { numbered, Server, waitFor } from "../support/server.ts";

test("a subscription begins with recent events and goes on with what is published", async () => {
  await using server = await Server.start();
  await server.publish([numbered(1), numbered(2), numbered(3, "page"), numbered(4)]);
  const client = connect(server);
  const seen: string[] = [];
  const onBegin = vi.fn();
  client.subscribe(
    "content.published",
    (event, { recent }) => seen.push(`${event.data.contentId} ${recent}`),
    { filter: { type: "blog" }, recent: 2, onBegin },
  );
  await waitFor("the beginning", () => seen.length === 2);
  expect(onBegin).toHaveBeenCalledExactlyOnceWith({ offset: 4, truncated: false });

  await server.publish([numbered(5, "page"), numbered(6)]);
  await waitFor("the event", () => seen.length === 3);
  expect(seen).toEqual(["c2 true", "c4 true", "c6 false"]);
  expect(client.position?.lanes.normal).toBe(6);
});

test("a server that is killed and comes back costs a gap, and every event after it arrives once", async () => {
  await using server = await Server.start();
  const gaps: Gap[] = [];
  const client = connect(server, { onGap: (gap) => gaps.push(gap) });
  const seen: string[] = [];
  client.subscribe("content.*", (event) => seen.push(event.data.contentId));
  await waitFor("the beginning", () => client.position !== null);
  await server.publish(numbered(1));
  await waitFor("the first event", () => seen.length === 1);

  await server.kill();
  await server.restart();
  await waitFor("the connection", () => client.state === "open" && gaps.length === 4);
  await server.publish([numbered(2), numbered(3)]);
  await waitFor("the events", () => seen.length === 3);

  expect(seen).toEqual(["c1", "c2", "c3"]);
  expect(gaps.map((gap) => gap.reason)).toEqual(["epoch", "epoch", "epoch", "epoch"]);
});
