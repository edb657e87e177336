/** Tabs of a real browser that share a connection to a real server, led by a worker or by one of them. */

import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Chromium, Site } from "../support/browser.ts";
import { numbered, Server, token, waitFor } from "../support/server.ts";

const entry = new URL("pages/shared.ts", import.meta.url);
let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(() => chromium[Symbol.asyncDispose]());

async function open(site: Site, parameters = ""): Promise<Page> {
  const page = await chromium.tab(`${site.url}?token=${token()}&${parameters}`);
  await page.waitForFunction(() => window.tab.client.position !== null);
  return page;
}

const seenBy = (page: Page) => page.evaluate(() => window.tab.seen);

async function allHave(count: number, pages: readonly Page[]): Promise<void> {
  await waitFor(`${count} events each`, async () => {
    const all = await Promise.all(pages.map(seenBy));
    return all.every((seen) => count <= seen.length);
  });
}

function names(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `c${from + index}`);
}

async function publish(server: Server, from: number, to: number): Promise<void> {
  for (let number = from; number <= to; number++) await server.publish(numbered(number));
}

async function connections(server: Server): Promise<number> {
  const response = await server.fetch("/v1/stats");
  return ((await response.json()) as { totalConnections: number }).totalConnections;
}

/** Whether the one that holds the group's lock is one that holds a member's. */
function isLedByTab(page: Page): Promise<boolean> {
  return page.evaluate(async () => {
    const { held = [] } = await navigator.locks.query();
    const leader = held.find(({ name }) => /^tidings\/1\/\w+$/.test(name ?? ""));
    return held.some(
      ({ name, clientId }) => name?.startsWith(`${leader?.name}/`) && clientId === leader?.clientId,
    );
  });
}

describe.each([
  { leader: "a worker", parameters: "" },
  { leader: "a tab", parameters: "locks" },
])("led by $leader", ({ leader, parameters }) => {
  test("a tab that comes later begins with recent events of its own, and one that signs out leaves the others", async () => {
    await using server = await Server.start();
    await using site = await Site.serve(entry, { behind: () => server.address });
    const first = await open(site, parameters);
    await publish(server, 1, 3);
    await allHave(3, [first]);

    const second = await open(site, `recent=2&${parameters}`);
    await publish(server, 4, 4);
    await allHave(4, [first]);
    await allHave(1, [second]);
    expect(await second.evaluate(() => window.tab.recent)).toEqual(["c2", "c3"]);
    await first.evaluate(() => window.tab.client.setToken(null));
    await publish(server, 5, 6);
    await allHave(3, [second]);

    expect(await seenBy(second)).toEqual(names(4, 6));
    expect(await seenBy(first)).toEqual(names(1, 4));
    expect(await first.evaluate(() => window.tab.client.state)).toBe("unauthorized");
    expect(await connections(server)).toBe(1);
    await first.close();
    await second.close();
  });

  test("tabs have one connection, and the closing of the first costs the others nothing", async () => {
    await using server = await Server.start();
    await using site = await Site.serve(entry, { behind: () => server.address });
    const first = await open(site, parameters);
    const others = [await open(site, parameters), await open(site, parameters)];
    expect(await isLedByTab(first)).toBe(leader === "a tab");
    expect(await connections(server)).toBe(1);

    const flowing = publish(server, 1, 100);
    await allHave(30, [first, ...others]);
    await first.close();
    await flowing;
    await allHave(100, others);

    for (const page of others) {
      expect(await seenBy(page)).toEqual(names(1, 100));
      expect(await page.evaluate(() => window.tab.gaps)).toEqual([]);
    }
    // The last event may have come before the line broke.
    await waitFor("one connection", async () => (await connections(server)) === 1);
    expect(chromium.faults).toEqual([]);
    await Promise.all(others.map((page) => page.close()));
  });
});

test("a tab that crashes while it leads costs the others nothing", async () => {
  await using server = await Server.start();
  await using site = await Site.serve(entry, { behind: () => server.address });
  const [first, ...others] = [
    await open(site, "locks"),
    await open(site, "locks"),
    await open(site, "locks"),
  ];
  const flowing = publish(server, 1, 60);
  await allHave(20, others);

  const crashed = first.waitForEvent("crash");
  const session = await first.context().newCDPSession(first);
  session.send("Page.crash").catch(() => {});
  await crashed;
  await flowing;
  await allHave(60, others);

  for (const page of others) expect(await seenBy(page)).toEqual(names(1, 60));
  await waitFor("one connection", async () => (await connections(server)) === 1);
  await Promise.all(others.map((page) => page.close()));
});

test.each([
  { policy: "worker-src 'none'", file: /^\/$/ },
  { policy: "connect-src 'none'", file: /worker/ },
])("where $policy keeps a worker from leading, a tab does", async ({ policy, file }) => {
  await using server = await Server.start();
  const headers = (path: string) => (file.test(path) ? { "content-security-policy": policy } : {});
  await using site = await Site.serve(entry, { behind: () => server.address, headers });

  const page = await open(site);
  await publish(server, 1, 1);
  await allHave(1, [page]);

  expect(await isLedByTab(page)).toBe(true);
  await page.close();
});

test("a page that the browser puts away and shows again has missed nothing", async () => {
  await using server = await Server.start();
  await using site = await Site.serve(entry, { behind: () => server.address });
  const [away, other] = [await open(site, "locks"), await open(site, "locks")];
  await publish(server, 1, 2);
  await allHave(2, [away, other]);

  await away.goto(`${site.url}elsewhere`);
  await publish(server, 3, 4);
  await allHave(4, [other]);
  await away.goBack({ waitUntil: "commit" });
  await allHave(4, [away]);

  expect(await away.evaluate(() => window.tab.wasPutAway)).toBe(true);
  expect(await seenBy(away)).toEqual(names(1, 4));
  expect(await seenBy(other)).toEqual(names(1, 4));
  await away.close();
  await other.close();
});
