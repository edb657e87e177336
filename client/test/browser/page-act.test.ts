/** The live page as one who acts has it: publishing, reading slowly, and disconnecting others. */

import { once } from "node:events";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import WebSocket from "ws";
import { Chromium } from "../support/browser.ts";
import {
  EVERYTHING,
  figure,
  isOpen,
  openPage,
  part,
  rows,
  showsRows,
  WITH_PAGE,
} from "../support/live-page.ts";
import { PATIENCE, Server, token } from "../support/server.ts";

let chromium: Chromium;
let server: Server;
beforeAll(async () => {
  [chromium, server] = await Promise.all([Chromium.launch(), Server.start(WITH_PAGE)]);
});
afterEach(() => {
  expect(chromium.faults.splice(0)).toEqual([]);
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

/** Connections of a user, each subscribed to something. */
async function connect(sub: string, count = 1): Promise<WebSocket[]> {
  const sockets = Array.from(
    { length: count },
    () => new WebSocket(`ws://${server.address}/ws?token=${token({ sub })}`),
  );
  await Promise.all(sockets.map((socket) => once(socket, "open")));
  for (const socket of sockets) {
    socket.send(
      JSON.stringify({ type: "subscribe", id: "s", events: ["content.*"], filter: { type: "blog" } }),
    );
  }
  return sockets;
}

/** The codes with which these are closed, as they come. */
function closes(...sockets: readonly WebSocket[]): number[] {
  const codes: number[] = [];
  for (const socket of sockets) socket.once("close", (code) => codes.push(code));
  return codes;
}

async function events(): Promise<{ readonly event: { readonly type: string; readonly priority: string } }[]> {
  const response = await server.fetch("/v1/events?limit=1000", {}, token(EVERYTHING));
  return ((await response.json()) as { events: [] }).events;
}

test("an event of every type is published from its example", async () => {
  await using live = await openPage(chromium, server);
  const publish = part(live.page, "Publish");
  const types = await publish.getByLabel("Type", { exact: true }).getByRole("option").allTextContents();
  expect(types).toHaveLength(25);

  for (const type of types) {
    await publish.getByLabel("Type", { exact: true }).selectOption(type);
    await publish.getByRole("button", { name: "Publish", exact: true }).click();
    await publish.getByText(/Published at offset \d+/).waitFor();
  }

  expect(new Set((await events()).map(({ event }) => event.type))).toEqual(new Set(types));
});

test("what is wrong is said at its field, before and after asking the server", async () => {
  await using live = await openPage(chromium, server);
  const publish = part(live.page, "Publish");
  const submit = () => publish.getByRole("button", { name: "Publish", exact: true }).click();
  await publish.getByLabel("Type", { exact: true }).selectOption("content.created");

  await publish.getByLabel(/^title/).fill("");
  await publish.getByLabel(/^createdAt/).fill("soon");
  await submit();
  await publish.getByText("title is required").waitFor();
  await publish.getByText("createdAt must be an RFC 3339 timestamp").waitFor();
  const focused = () => live.page.evaluate(() => document.activeElement?.getAttribute("aria-describedby"));
  expect(await focused()).toBe(await publish.getByLabel(/^title/).getAttribute("aria-describedby"));

  await publish.getByLabel(/^title/).fill("Hello");
  await publish.getByRole("button", { name: "Now for createdAt" }).click();
  await publish.getByText("Optional fields").click();
  await publish.getByLabel(/^changes/).fill("[1");
  await submit();
  await publish.getByText("changes must be an object or an array").waitFor();
  await publish.getByLabel(/^changes/).fill('{"title":"Hello"}');
  await publish.getByLabel(/^tags/).fill("news, launch");
  await publish.getByLabel("Priority").selectOption("critical");
  await publish.getByLabel("Subject").fill("x".repeat(300));
  await submit();
  await publish.getByText("$.subject must have 1 to 256 characters").waitFor();

  await publish.getByLabel("Subject").fill("content/1");
  await submit();
  await publish.getByText(/Published at offset/).waitFor();
  await showsRows(live.page, "criticalcontent.created");
  expect((await events()).at(-1)).toMatchObject({
    event: {
      type: "content.created",
      priority: "critical",
      subject: "content/1",
      data: { title: "Hello", tags: ["news", "launch"], changes: { title: "Hello" } },
    },
  });
});

test("another example is another, and the same can be published from a shell", async () => {
  await using live = await openPage(chromium, server);
  const publish = part(live.page, "Publish");
  await live.page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.url });
  const before = await publish.getByLabel(/^contentId/).inputValue();

  await publish.getByRole("button", { name: "Another example" }).click();
  const after = await publish.getByLabel(/^contentId/).inputValue();
  expect(after).not.toBe(before);
  await publish.getByRole("button", { name: "Copy as curl" }).click();
  await publish.getByText("Copied").waitFor();

  const copied = await live.page.evaluate(() => navigator.clipboard.readText());
  expect(copied).toMatch(`curl ${server.url}/v1/events -H "Authorization: Bearer $TIDINGS_TOKEN"`);
  expect(copied).toMatch(after);

  // What is shown from here on is not what was copied.
  await publish.getByRole("button", { name: "Another example" }).click();
  await publish.getByRole("button", { name: "Copy as curl" }).waitFor();
});

test("demo traffic flows until it is stopped", async () => {
  await using live = await openPage(chromium, server);
  const before = (await events()).length;

  await part(live.page, "Publish").getByRole("button", { name: "Demo traffic" }).click();
  await expect.poll(async () => (await events()).length, { timeout: PATIENCE }).toBeGreaterThan(before + 10);
  await part(live.page, "Publish").getByRole("button", { name: "Stop demo traffic" }).click();

  await part(live.page, "Publish").getByRole("button", { name: "Demo traffic", pressed: false }).waitFor();
});

test("read slowly, a critical event overtakes all that waits at the server, and nothing is lost of it", async () => {
  await using own = await Server.start(WITH_PAGE);
  await using live = await openPage(chromium, own);
  const { page } = live;
  const feed = part(page, "Feed");
  const waiting = feed.getByRole("list", { name: "Waiting at the server for this page" });

  await feed.getByRole("switch", { name: "Read slowly" }).check();
  await page.getByText("reading slowly").waitFor();
  await isOpen(page);
  await feed.getByRole("button", { name: "Publish 800 events" }).click();
  await feed.getByText("800 events are published.").waitFor();
  await expect.poll(() => waiting.textContent()).toMatch(/normal\d+ waiting, \d+ of them in history/);
  await expect.poll(() => figure(page, "Slow consumers")).toBe("1");
  await part(page, "Connections").getByLabel("Slow consumers only").check();
  const line = part(page, "Connections").getByRole("row", { name: /ann this page/ });
  await line.getByText("catching up").waitFor();
  await line.getByText("2,048 B/s").waitFor();
  await feed.getByRole("button", { name: "Publish a critical one" }).click();
  await feed.getByText(/#801 has arrived. It has overtaken \d+ events? that came after it/).waitFor();

  // It has come while hundreds that were published before it wait.
  await expect.poll(() => waiting.getByRole("listitem").first().textContent()).toBe("critical0 waiting");
  expect(await received(page)).toBeLessThan(400);

  // Read as fast as it can again, the page goes on where it was and gets all of them.
  await feed.getByRole("switch", { name: "Read slowly" }).uncheck();
  await expect.poll(() => received(page), { timeout: PATIENCE }).toBe(801);
  await expect.poll(() => figure(page, "Catch-up depth")).toBe("0");
  expect(
    await rows(page)
      .getByText("system.error")
      .getByText(/overtook/)
      .count(),
  ).toBe(0);
});

/** Events that the feed has counted. */
async function received(page: Page): Promise<number> {
  const lanes = part(page, "Feed").getByRole("group", { name: "Lanes that are shown" }).locator("b");
  return (await lanes.allTextContents()).reduce((sum, text) => sum + Number(text.replaceAll(",", "")), 0);
}

test("connections are listed with what they are subscribed to and what waits for them", async () => {
  await using live = await openPage(chromium, server);
  const list = part(live.page, "Connections");
  const [bob] = await connect("bob");

  await list.getByLabel("Connections of one user").fill("bob");
  await list.getByRole("button", { name: "Find" }).click();
  const line = list.getByRole("row", { name: /bob/ });
  await expect
    .poll(() => line.textContent())
    .toMatch(/^bob c_\w+ WebSocket from 127\.0\.0\.1\d+ s1 of bobnoneDisconnect bob$/);
  await line.getByRole("button", { name: "1 of bob" }).click();
  await list.getByText('content.* where {"type":"blog"}').waitFor();
  await line.getByRole("button", { name: "1 of bob" }).click();
  expect(await list.getByText("content.* where").count()).toBe(0);

  await list.getByLabel("Slow consumers only").check();
  await list.getByText("Nobody is connected who fits.").waitFor();
  await list.getByLabel("Slow consumers only").uncheck();
  await list.getByLabel("Connections of one user").fill("");
  await list.getByRole("button", { name: "Find" }).click();
  await list.getByRole("row", { name: /ann this page/ }).waitFor();
  bob?.terminate();
});

test("a long list comes in pages", async () => {
  await using live = await openPage(chromium, server);
  const list = part(live.page, "Connections");
  const many = await connect("many", 27);

  await list.getByLabel("Connections of one user").fill("many");
  await list.getByRole("button", { name: "Find" }).click();
  await expect.poll(() => list.getByRole("row", { name: /^many/ }).count()).toBe(25);
  await list.getByRole("button", { name: "Next" }).click();
  await expect.poll(() => list.getByRole("row", { name: /^many/ }).count()).toBe(2);
  await list.getByText("Page 2").waitFor();
  await list.getByRole("button", { name: "Previous" }).click();
  await expect.poll(() => list.getByRole("row", { name: /^many/ }).count()).toBe(25);
  for (const socket of many) socket.terminate();
});

test("one connection, all of a user, or a user's tokens are ended, once that is confirmed", async () => {
  await using live = await openPage(chromium, server);
  const list = part(live.page, "Connections");
  const sockets = await connect("cid", 3);
  await list.getByLabel("Connections of one user").fill("cid");
  await list.getByRole("button", { name: "Find" }).click();
  await expect.poll(() => list.getByRole("row", { name: /^cid/ }).count()).toBe(3);
  const dialog = live.page.getByRole("dialog", { name: "Disconnect cid?" });
  const ask = async () => {
    await list.getByRole("button", { name: "Disconnect cid" }).first().click();
    await dialog.waitFor();
  };
  const confirm = () => dialog.getByRole("button", { name: "Disconnect", exact: true }).click();

  await ask();
  const hasFocusAgain = () =>
    expect.poll(() => live.page.evaluate(() => document.activeElement?.textContent)).toBe("Disconnect cid");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await dialog.waitFor({ state: "hidden" });
  await hasFocusAgain();
  await ask();
  await live.page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  await hasFocusAgain();
  expect(sockets.map(({ readyState }) => readyState)).toEqual([1, 1, 1]);

  const codes = closes(...sockets);
  await ask();
  await confirm();
  await list.getByText("1 connection disconnected.").waitFor();
  await expect.poll(() => codes).toEqual([4403]);

  await expect.poll(() => list.getByRole("row", { name: /^cid/ }).count()).toBe(2);
  await ask();
  await dialog.getByLabel("All connections of cid").check();
  await dialog.getByLabel("Refuse the tokens that cid has had so far").check();
  await confirm();
  await list.getByText("2 connections disconnected.").waitFor();
  await expect.poll(() => codes).toEqual([4403, 4403, 4403]);
  const again = closes(new WebSocket(`ws://${server.address}/ws?token=${token({ sub: "cid" })}`));
  await expect.poll(() => again).toEqual([4401]);

  const endings = part(live.page, "Closes, refusals and errors");
  await endings.getByText("disconnected by an operator").waitFor();
  await endings.getByText("revoked").waitFor();
});
