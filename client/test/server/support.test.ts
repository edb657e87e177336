/** That the server which tests start is one, and comes back on its port. */

import { expect, test } from "vitest";
import { API_KEY, numbered, Server, token } from "../support/server.ts";

test("a server that was killed comes back on the same port, with its key and secret", async () => {
  await using server = await Server.start();
  const { url } = server;
  const [first] = await server.publish(numbered(1));
  expect(first?.offset).toBe(1);

  await server.kill();
  await expect(server.fetch("/healthz")).rejects.toThrow();
  await server.restart();

  expect(server.url).toBe(url);
  expect((await server.fetch("/v1/stats", {}, API_KEY)).status).toBe(200);
  expect((await server.fetch("/v1/events?events=*", {}, token())).status).toBe(200);
  await server.stop();
});

test("a server that cannot start says why", async () => {
  await expect(Server.start({ LIMITS__CONNECTIONS: "none" })).rejects.toThrow(/limits.connections/);
});
