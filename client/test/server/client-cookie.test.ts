/** A browser's client that is given no token goes by the cookie that the server looks for (PROTOCOL §2). */

import { beforeEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import type { ClientOptions, TidingsClient } from "../../src/index.ts";
import { connect } from "../support/client.ts";
import { numbered, Server, token, waitFor } from "../support/server.ts";

/** What the browser keeps; no script looks at it. */
let jar: string | undefined;
/** Sockets so far. */
let opened = 0;

/** A browser's socket: cookies and the page's origin go along by themselves. */
class BrowserSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    const cookie = jar === undefined ? {} : { cookie: `other=1; session=${jar}` };
    super(url, protocols, { headers: { origin: location.origin, ...cookie } });
    opened++;
  }
}

async function start(): Promise<Server> {
  const server = await Server.start({ AUTH__COOKIE: "session", AUTH__LEEWAY_S: "0" });
  vi.stubGlobal("location", new URL(server.url));
  return server;
}

function browse(server: Server, options: ClientOptions = {}): TidingsClient {
  return connect(server, { token: "", webSocket: BrowserSocket, ...options });
}

beforeEach(() => {
  opened = 0;
  jar = token();
});

test("without a token it connects as whom the cookie names", async () => {
  await using server = await start();
  const client = browse(server);
  const seen: number[] = [];
  client.subscribe("content.*", (_, { offset }) => seen.push(offset));
  await waitFor("the beginning", () => client.position !== null);
  await server.publish(numbered(1));
  await waitFor("the event", () => seen.length === 1);
});

test("without a cookie it is unauthorized, and started again it goes by the cookie that is there since", async () => {
  await using server = await start();
  jar = undefined;
  const client = browse(server);
  client.start();
  await waitFor("the refusal", () => client.state === "unauthorized");
  expect(client.error?.code).toBe("unauthorized");
  jar = token();
  client.start();
  await waitFor("the connection", () => client.state === "open");
});

test("what the cookie allows expires, and it goes on where it was with the cookie that has come since", async () => {
  await using server = await start();
  jar = token({ seconds: 2 });
  const states: string[] = [];
  const onGap = vi.fn();
  const client = browse(server, { onGap, onState: (state) => states.push(state) });
  const seen: number[] = [];
  client.subscribe("content.*", (_, { offset }) => seen.push(offset));
  await waitFor("the beginning", () => client.position !== null);
  jar = token();
  await waitFor("the end", () => states.includes("waiting"));
  await server.publish(numbered(1));
  await waitFor("the event", () => seen.length === 1);
  expect(onGap).not.toHaveBeenCalled();
});

test("a cookie that has expired with its connection is not tried over and over", async () => {
  await using server = await start();
  jar = token({ seconds: 2 });
  const client = browse(server);
  client.start();
  await waitFor("the connection", () => client.state === "open");
  await waitFor("the refusal", () => client.state === "unauthorized");
});

test("who has been given a token goes by none but tokens", async () => {
  await using server = await start();
  const client = browse(server);
  client.start();
  await waitFor("the connection", () => client.state === "open");
  client.setToken(null);
  await waitFor("the end", () => client.state === "unauthorized");
  const states: string[] = [];
  client.on("state", (state) => states.push(state));
  client.start();
  await waitFor("the answer", () => states.at(-1) === "unauthorized");
  expect(client.error?.message).toContain("No token");
  expect(opened).toBe(1);
});
