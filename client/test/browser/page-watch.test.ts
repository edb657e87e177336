/** The live page as one who watches has it: connecting, the overview, the feed. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
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
import { numbered, Server, token } from "../support/server.ts";

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

test("a token in the address connects, and stays neither there nor in the history, nor is it logged", async () => {
  await using live = await openPage(chromium, server);
  const { page } = live;

  expect(page.url()).toBe(`${server.url}/`);
  expect(await page.evaluate(() => [location.href, history.length, document.referrer])).toEqual([
    `${server.url}/`,
    2,
    "",
  ]);
  expect(server.log).not.toMatch(/eyJ/);
  await page.getByText(/as ann, token until/).waitFor();

  // and: the page can be loaded again, in this tab alone
  await page.reload();
  await isOpen(page);
  expect(page.url()).toBe(`${server.url}/`);
});

test("without a token it asks for one, says what is wrong with it, and keeps it nowhere", async () => {
  await using live = await openPage(chromium, server, null);
  const { page } = live;
  const form = part(page, "Connect");

  await form.getByLabel("Token").fill("no token");
  await form.getByRole("button", { name: "Connect" }).click();
  await form.getByText("That is no JWT").waitFor();

  await form.getByLabel("Token").fill(`${token(EVERYTHING)}x`);
  await form.getByRole("button", { name: "Connect" }).click();
  await expect.poll(() => form.getByRole("alert").textContent()).toMatch(/token/);
  expect(await form.getByLabel("Token").inputValue()).toBe("");

  await form.getByLabel("Token").fill(token(EVERYTHING));
  await page.keyboard.press("Enter");
  await isOpen(page);
  expect(await form.count()).toBe(0);
  expect(await page.evaluate(() => [sessionStorage.length, localStorage.length, document.cookie])).toEqual([
    0,
    0,
    "",
  ]);
});

test("whoever is no administrator has the feed, and is told why there are no numbers", async () => {
  await using live = await openPage(chromium, server, { sub: "reader" });
  const { page } = live;

  await page.getByText("those are for administrators").waitFor();
  await server.publish(numbered(1));
  await showsRows(page, "content.published");
  expect(await part(page, "Overview").count()).toBe(0);
  expect(await part(page, "Connections").count()).toBe(0);

  await part(page, "Publish").getByRole("button", { name: "Publish", exact: true }).click();
  await part(page, "Publish")
    .getByText(/grant|forbidden|may not/i)
    .first()
    .waitFor();
});

test("where the numbers are on the operators' listener, it says so", async () => {
  await using own = await Server.start({ ...WITH_PAGE, OPS__LISTEN: "127.0.0.1:0" });
  await using live = await openPage(chromium, own);

  await live.page.getByText("on the operators' own listener (ops.listen)").waitFor();
  await own.publish(numbered(1));
  await showsRows(live.page, "content.published");
});

test("the overview counts connections and events, by lane and by type", async () => {
  await using live = await openPage(chromium, server);
  const { page } = live;
  const overview = part(page, "Overview");
  const published = Number((await stats()).eventsPublished);

  await server.publish([numbered(2), { ...numbered(3), priority: "critical" }]);

  await expect
    .poll(() => overview.getByText(`${(published + 2).toLocaleString("en")} in all`).count())
    .toBe(2);
  await expect
    .poll(async () => [await figure(page, "Connections"), await figure(page, "Slow consumers")])
    .toEqual([String((await stats()).totalConnections), "0"]);
  const legend = overview.getByRole("list", { name: "Events a second" });
  expect(await legend.getByRole("listitem").count()).toBe(4);
  await overview.getByRole("radio", { name: "by type" }).check();
  await legend.getByText("content.published").waitFor();
  await overview.getByRole("radio", { name: "delivered" }).check();
  await legend.getByText("content.published").waitFor();
  await overview.getByRole("radio", { name: "by lane" }).check();
  await legend.getByText("critical").waitFor();
  // A chart is drawn, and has colour in it.
  const drawn = await overview
    .locator("canvas")
    .first()
    .evaluate((canvas) => {
      const { width, height } = canvas as HTMLCanvasElement;
      const data = (canvas as HTMLCanvasElement).getContext("2d")?.getImageData(0, 0, width, height).data;
      return data?.some((value, at) => at % 4 === 3 && value > 0);
    });
  expect(drawn).toBe(true);
});

test("before any event, there is no chart by type, and from the first on there is one", async () => {
  await using own = await Server.start(WITH_PAGE);
  await using live = await openPage(chromium, own);
  const overview = part(live.page, "Overview");

  await overview.getByRole("radio", { name: "by type" }).check();
  await overview.getByText("No event of any type in the last minutes.").waitFor();
  await own.publish(numbered(1));

  const legend = overview.getByRole("list", { name: "Events a second" });
  await legend.getByText("content.published").waitFor();
});

test("the feed follows the types and the filter that are asked for", async () => {
  await using live = await openPage(chromium, server);
  const { page } = live;
  const feed = part(page, "Feed");
  const ask = async (types: string, filter: string) => {
    await feed.getByLabel("Events", { exact: true }).fill(types);
    await feed.getByLabel("Filter").fill(filter);
    await feed.getByRole("button", { name: "Apply" }).click();
  };

  await ask("content.*", "type=guide");
  await server.publish([numbered(10, "blog"), numbered(11, "guide"), numbered(12, "guide")]);
  await showsRows(page, "c12", "c11");
  expect(await rows(page).count()).toBe(2);

  await ask("content.*", "type");
  await feed.getByText("“type” is not of the form path=value.").waitFor();
  await ask("nothing.*", "");
  await feed
    .getByText(/nothing\.\*/)
    .first()
    .waitFor();
  await ask(" ", "");
  await feed.getByText("Name at least one type").waitFor();
  await ask("*", '{"type":["blog","guide"]}');
  await server.publish(numbered(13, "blog"));
  await showsRows(page, "c13", "c12");
});

test("the feed is searched, held still, cleared, and shows an event whole", async () => {
  await using live = await openPage(chromium, server);
  const { page } = live;
  const feed = part(page, "Feed");
  await feed.getByRole("button", { name: "Clear" }).click();
  await server.publish([numbered(20), { ...numbered(21), priority: "low" }]);
  await showsRows(page, "c21", "c20");

  await feed.getByLabel("Search in the feed").fill("Content c20");
  await expect.poll(() => rows(page).allTextContents()).toHaveLength(1);
  await feed.getByLabel("Search in the feed").fill("no such thing");
  await feed.getByText("No event in the feed fits your search.").waitFor();
  await feed.getByLabel("Search in the feed").fill("");
  await feed.getByRole("checkbox", { name: /^low/ }).uncheck();
  await expect.poll(() => rows(page).allTextContents()).toHaveLength(1);
  await feed.getByRole("checkbox", { name: /^low/ }).check();

  await feed.getByRole("button", { name: "Pause" }).click();
  await server.publish(numbered(22));
  await feed.getByText("Paused. 1 more have come.").waitFor();
  expect(await rows(page).count()).toBe(2);
  await feed.getByRole("button", { name: "Continue" }).click();
  await showsRows(page, "c22");

  await rows(page).first().hover();
  await server.publish(numbered(23));
  await feed.getByText("Held still while you point at it. 1 more have come.").waitFor();
  await feed.getByRole("button", { name: "Pause" }).hover();
  await showsRows(page, "c23", "c22");

  await rows(page).first().getByText("content.published").click();
  const shown = await rows(page).first().locator("pre").textContent();
  expect(JSON.parse(shown ?? "")).toMatchObject({
    type: "content.published",
    specversion: "1.0",
    data: { contentId: "c23" },
  });
  await feed.getByRole("button", { name: "Clear" }).click();
  await feed.getByText("No events yet.").waitFor();
});

test("it comes back after the server was gone, and says so meanwhile", async () => {
  await using own = await Server.start(WITH_PAGE);
  await using live = await openPage(chromium, own);
  const { page } = live;

  await own.kill();
  await page.getByText("reconnecting", { exact: true }).waitFor();
  await expect.poll(() => page.title()).toBe("Tidings live: reconnecting");
  await own.restart();

  await isOpen(page);
  await own.publish(numbered(1));
  await showsRows(page, "c1");
  await expect.poll(() => page.title()).toBe("Tidings live");
});

test("it lets go of its connection and takes it up again where it was", async () => {
  await using live = await openPage(chromium, server);
  const { page } = live;
  await server.publish(numbered(30));
  await showsRows(page, "c30");

  await page.getByRole("button", { name: "Disconnect", exact: true }).first().click();
  await page.getByText("disconnected", { exact: true }).waitFor();
  await server.publish([numbered(31), numbered(32)]);
  await page.getByRole("button", { name: "Reconnect" }).click();

  await showsRows(page, "c32", "c31", "c30");
});

test("a gap is told among the events", async () => {
  await using own = await Server.start({ ...WITH_PAGE, HISTORY__EVENTS: "10" });
  await using live = await openPage(chromium, own);
  const { page } = live;
  await own.publish(numbered(1));
  await showsRows(page, "c1");
  await page.getByRole("button", { name: "Disconnect", exact: true }).first().click();
  await page.getByText("disconnected", { exact: true }).waitFor();

  await own.publish(Array.from({ length: 30 }, (_, number) => numbered(2 + number)));
  await page.getByRole("button", { name: "Reconnect" }).click();

  await part(page, "Feed")
    .getByText(
      "Gap in lane normal: events after 1, up to 21 may be missing, since history no longer holds them.",
    )
    .waitFor();
  await expect.poll(() => figure(page, "Gaps")).toBe("1");
});

async function stats(): Promise<Record<string, number>> {
  return (await (await server.fetch("/v1/stats")).json()) as Record<string, number>;
}
