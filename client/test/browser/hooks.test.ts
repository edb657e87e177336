/** The hooks under StrictMode in a real browser, against a real server, with both versions of React. */

import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { Chromium, Site } from "../support/browser.ts";
import { numbered, Server, type Settings, token, waitFor } from "../support/server.ts";

const REACT_18 = fileURLToPath(new URL("../react/18/node_modules/", import.meta.url));
const entry = new URL("pages/hooks.tsx", import.meta.url);

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(() => chromium[Symbol.asyncDispose]());
beforeEach(() => () => expect(chromium.faults).toEqual([]));

/** A server that the site leads to while the test runs. */
let server: Server;
/** Whether it runs: an address without anybody behind it may connect to itself. */
let running = false;
async function serve(settings: Settings = {}) {
  server = await Server.start(settings);
  running = true;
  onTestFinished(() => server.kill());
}

async function open(site: Site, kind: "page" | "tab" = "page", hash = ""): Promise<Page> {
  const page = await chromium[kind](`${site.url}${hash}`);
  onTestFinished(() => page.close());
  return page;
}

const signIn = (page: Page, signed = token()) => page.evaluate((token) => app.sign({ token }), signed);
const shows = (page: Page, text: string) => page.getByText(text, { exact: true }).waitFor();
const received = (page: Page) => page.evaluate(() => app.received);
const sockets = (page: Page) => page.evaluate(() => app.sockets);
const ids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => `c${from + at}`);

describe.each([
  ["React 19", {}],
  ["React 18", { react: `${REACT_18}react`, "react-dom": `${REACT_18}react-dom` }],
])("with %s", (_, alias) => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.serve(entry, {
      mode: "development",
      alias,
      behind: () => (running ? server.address : undefined),
    });
    return () => site[Symbol.asyncDispose]();
  });

  test("a page has one socket and one subscription, and every event once", async () => {
    await serve();
    const page = await open(site);
    await signIn(page);
    await shows(page, "open, 0 events, 0 different");

    await server.publish([numbered(1), numbered(2, "page"), numbered(3)]);
    await shows(page, "open, 2 events, 2 different");

    expect(await received(page)).toEqual(["c1", "c3"]);
    expect(await sockets(page)).toBe(1);
    const stats = await server.fetch("/v1/stats");
    expect(await stats.json()).toMatchObject({ totalConnections: 1, activeSubscriptions: 1 });
  });

  test("components that come and go keep the socket, and the subscription ends with the last of them", async () => {
    await serve();
    const page = await open(site);
    await signIn(page);
    await shows(page, "open, 0 events, 0 different");

    await page.evaluate(() => {
      for (let round = 0; round < 20; round += 1) {
        app.mount(false);
        app.mount(true);
      }
    });
    await server.publish(numbered(1));
    await shows(page, "open, 1 events, 1 different");
    await page.evaluate(() => app.mount(false));
    await waitFor("the end of the subscription", async () => {
      const stats = (await (await server.fetch("/v1/stats")).json()) as { activeSubscriptions: number };
      return stats.activeSubscriptions === 0;
    });

    expect(await received(page)).toEqual(["c1"]);
    expect(await sockets(page)).toBe(1);
  });

  test("connections that break while events flow cost nothing", async () => {
    await serve();
    const page = await open(site);
    await signIn(page);
    await shows(page, "open, 0 events, 0 different");

    for (let number = 1; number <= 300; number += 10) {
      await server.publish(Array.from({ length: 10 }, (_, at) => numbered(number + at)));
      if (number % 100 === 51) site.cut();
    }
    await shows(page, "open, 300 events, 300 different");

    expect(await received(page)).toEqual(ids(1, 300));
    expect(await page.evaluate(() => app.gaps)).toEqual([]);
    expect(await sockets(page)).toBeGreaterThan(1);
  });

  test("a server that is killed and restarted while events flow costs a gap, which tells what may be missing", async () => {
    await serve();
    const page = await open(site);
    await signIn(page);
    await shows(page, "open, 0 events, 0 different");
    const flow = flowing(server);
    await waitFor("events", async () => (await received(page)).length >= 20);

    running = false;
    await server.kill();
    const told = flow.told.length;
    await server.restart();
    running = true;
    // Else the next attempt may be half a minute away.
    await page.evaluate(() => dispatchEvent(new Event("online")));
    await waitFor("the gap", async () => (await page.evaluate(() => app.gaps.length)) === 4);
    const [gap] = await page.evaluate(() => app.gaps);
    const last = await flow.end();
    await waitFor("the last event", async () => (await received(page)).includes(last));

    const seen = await received(page);
    expect(new Set(seen).size).toBe(seen.length);
    const missing = flow.told.slice(told).filter(({ id }) => !seen.includes(id));
    expect(missing.filter(({ offset }) => (gap?.until ?? 0) < offset)).toEqual([]);
    // What the first server told of before it was killed may have been under way, but came in order, without a hole.
    const before = flow.told.slice(0, told).map(({ id }) => id);
    const arrived = before.filter((id) => seen.includes(id));
    expect(arrived).toEqual(before.slice(0, arrived.length));
  });

  test("a token that expires is replaced in place as long as there is a fresh one", async () => {
    await serve();
    const page = await open(site);
    let asked = 0;
    await page.exposeFunction("freshToken", () => {
      asked += 1;
      return token({ seconds: 3 });
    });
    await page.evaluate(() => {
      const { freshToken } = globalThis as unknown as { freshToken: () => Promise<string> };
      app.sign({ getToken: freshToken });
    });
    await shows(page, "open, 0 events, 0 different");

    for (let number = 1; number <= 3; number += 1) {
      await waitFor("the next question", () => asked > number);
      await server.publish(numbered(number));
    }
    await shows(page, "open, 3 events, 3 different");

    expect(await received(page)).toEqual(["c1", "c2", "c3"]);
    expect(await sockets(page)).toBe(1);
  });

  test("without a fresh token the connection ends with the old one, and goes on with the next", async () => {
    await serve({ AUTH__LEEWAY_S: "0" });
    const page = await open(site);
    await signIn(page, token({ seconds: 2 }));
    await shows(page, "open, 0 events, 0 different");
    await server.publish(numbered(1));
    await shows(page, "unauthorized, 1 events, 1 different");
    await server.publish(numbered(2));

    await signIn(page);
    await shows(page, "open, 2 events, 2 different");

    expect(await received(page)).toEqual(["c1", "c2"]);
  });

  test("another user's token is not one to go on with: the connection begins anew as that user", async () => {
    await serve();
    const page = await open(site);
    await signIn(page);
    await shows(page, "open, 0 events, 0 different");

    await signIn(page, token({ sub: "u2" }));
    await waitFor("the other user", async () => {
      const connections = await (await server.fetch("/v1/connections")).text();
      return connections.includes('"u2"') && !connections.includes('"u1"');
    });
    await server.publish(numbered(1));

    await shows(page, "open, 1 events, 1 different");
  });

  test.each(["u1", "u2"])(
    "what a token does not allow is there with the next that does, of %s",
    async (sub) => {
      await serve();
      const stats = async () => await (await server.fetch("/v1/stats")).json();
      const page = await open(site);
      await signIn(page, token({ sub: "u1", tidings: { subscribe: ["user.*"] } }));
      await expect.poll(stats).toMatchObject({ errors: { forbidden: 1 } });

      await signIn(page, token({ sub }));
      await expect.poll(stats).toMatchObject({ activeSubscriptions: 1 });
      await server.publish(numbered(1));

      await shows(page, "open, 1 events, 1 different");
    },
  );

  test("tabs that share a connection have every event once, also when the one that came first has gone", async () => {
    await serve();
    const signed = token();
    const tabs = [await open(site, "tab", "#shared"), await open(site, "tab", "#shared")];
    for (const tab of tabs) {
      await signIn(tab, signed);
      await shows(tab, "open, 0 events, 0 different");
    }
    expect(await (await server.fetch("/v1/stats")).json()).toMatchObject({ totalConnections: 1 });

    await server.publish(numbered(1));
    for (const tab of tabs) await shows(tab, "open, 1 events, 1 different");
    await tabs[0]?.close();
    await server.publish(numbered(2));
    await shows(tabs[1] as Page, "open, 2 events, 2 different");

    expect(await received(tabs[1] as Page)).toEqual(["c1", "c2"]);
  });

  test("a hidden page goes on, and a page that is shown again has everything once", async () => {
    await serve();
    const page = await open(site, "tab");
    await signIn(page);
    await shows(page, "open, 0 events, 0 different");
    await open(site, "tab");
    expect(await page.evaluate(() => document.visibilityState)).toBe("hidden");

    await server.publish(Array.from({ length: 100 }, (_, at) => numbered(at + 1)));
    await shows(page, "open, 100 events, 100 different");
    site.cut();
    await server.publish(Array.from({ length: 100 }, (_, at) => numbered(at + 101)));
    await page.bringToFront();
    await shows(page, "open, 200 events, 200 different");

    expect(await received(page)).toEqual(ids(1, 200));
  });
});

/** Publishes one event after the other, each until the server has told its offset, by the same id. */
function flowing(server: Server) {
  const told: { id: string; offset: number }[] = [];
  let ended = false;
  const flow = (async () => {
    for (let number = 1; !ended; number += 1) {
      const event = { ...numbered(number), id: `e${number}` };
      await waitFor("the server", async () => {
        const [result] = await server.publish(event).catch(() => []);
        if (result) told.push({ id: event.data.contentId, offset: result.offset });
        return result !== undefined;
      });
    }
  })();
  return {
    told,
    /** Returns the last that was published. */
    end: async () => {
      ended = true;
      await flow;
      return told.at(-1)?.id ?? "";
    },
  };
}
