/** The example application in a real browser, with its own back end, against a real server. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { build, type PreviewServer, preview } from "vite";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { backend } from "../../examples/admin-panel/scripts/backend.js";
import { emitTraffic } from "../../examples/admin-panel/scripts/traffic.js";
import { World } from "../../examples/admin-panel/scripts/world.js";
import { createEventEmitter, type EmitEvent } from "../../src/emitter/index.ts";
import { Chromium, onLog } from "../support/browser.ts";
import { API_KEY, Server, token, waitFor } from "../support/server.ts";
import { violations } from "../support/violations.ts";

const root = fileURLToPath(new URL("../../examples/admin-panel/", import.meta.url));
const source = fileURLToPath(new URL("../../src/", import.meta.url));
const grant = { subscribe: ["*"], publish: ["*"], maxPriority: "critical", admin: true };

let chromium: Chromium;
let folder: string;
let server: Server;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidings-example-"));
  await build({
    root,
    configFile: false,
    logLevel: "warn",
    build: {
      outDir: folder,
      emptyOutDir: true,
      rolldownOptions: { onLog },
    },
    define: { "process.env.NODE_ENV": '"production"' },
    oxc: { jsx: { development: false } },
    resolve: {
      alias: [
        { find: /^tidings$/, replacement: `${source}index.ts` },
        { find: /^tidings\/react$/, replacement: `${source}react/index.ts` },
      ],
      dedupe: ["react", "react-dom"],
    },
  });
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  server = await Server.start({ ORIGINS: "*" });
  return async () => {
    await server.kill();
    expect(chromium.faults).toEqual([]);
  };
});

const address = () => `${server.url}/?token=${token({ tidings: grant })}`;

/** The panel, where somebody is signed in or asked to. */
async function open({ signedIn = true, path = "", width = 1280 } = {}): Promise<Page> {
  const session = { url: server.url, token: token({ tidings: grant }) };
  const served: PreviewServer = await preview({
    root,
    configFile: false,
    logLevel: "warn",
    build: { outDir: folder },
    preview: { host: "127.0.0.1", port: 0 },
    plugins: [backend(signedIn ? session : null)],
  });
  onTestFinished(() => served.close());
  const page = await chromium.page(`${served.resolvedUrls?.local[0]}${path}`);
  onTestFinished(() => page.close());
  await page.setViewportSize({ width, height: 900 });
  if (signedIn) await page.getByRole("status").getByText("Live").waitFor();
  return page;
}

/** The same numbers each time: those of the generator that C's standard shows. */
function random(): () => number {
  let state = 1;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

/** Events of the made-up world, as its script emits them. */
async function emit(events: EmitEvent[]): Promise<void> {
  const emitter = createEventEmitter({ url: server.url, apiKey: API_KEY });
  await emitter.emitBatch(events as []);
  await emitter.close();
}

const statusOf = (page: Page, title: string) =>
  page.getByRole("row").filter({ hasText: title }).locator(".tag");

test("whoever pastes the address that the server printed is signed in; another text is explained", async () => {
  const page = await open({ signedIn: false });
  const field = page.getByLabel("Address");

  await field.fill("http://127.0.0.1:1/");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("its token included").waitFor();
  await field.fill(address());
  await page.getByRole("button", { name: "Sign in" }).click();

  await page.getByRole("status").getByText("Live").waitFor();
});

test("the dashboard begins with what was there, and goes on with what comes", async () => {
  const world = new World(random());
  await emit(world.past(Date.now()));
  const page = await open();
  await page.getByRole("img", { name: /^Visitors on the site: \d+ now$/ }).waitFor();
  const views = page.locator("dd").first();
  const before = await views.textContent();

  await emit(world.second(Date.now()));

  await waitFor("another number", async () => (await views.textContent()) !== before);
  await page.getByText(/^Search [\d,]+ ms$/).waitFor();
});

test("the traffic of its script keeps the dashboard moving", async () => {
  const ended: Error[] = [];
  const session = { url: server.url, token: token({ tidings: grant }) };
  onTestFinished(emitTraffic(session, (error) => ended.push(error)));
  const page = await open();

  const seen = new Set<string | null>();
  await waitFor(
    "three numbers",
    async () => seen.add(await page.locator("dd").first().textContent()).size > 3,
  );

  expect(ended).toEqual([]);
});

test("an article's status changes as it happens, and what is published here is published everywhere", async () => {
  const [here, there] = [await open({ path: "#/content" }), await open({ path: "#/content" })];
  const title = "Night shift at the lock";
  expect(await statusOf(here, title).textContent()).toBe("draft");

  const changed = { contentId: "c4", oldStatus: "draft", newStatus: "review", changedAt: new Date() };
  await emit([{ type: "content.status_changed", data: changed }]);
  await statusOf(here, title).getByText("review").waitFor();
  await here.getByRole("button", { name: `Publish ${title}` }).click();

  await statusOf(there, title).getByText("published").waitFor();
});

test("the feed of users shows what is chosen, from before as well", async () => {
  const timestamp = new Date();
  await emit([
    { type: "user.login", data: { userId: "u1", email: "mara@harbor.example", timestamp } },
    { type: "user.password_changed", data: { userId: "u2", changedAt: timestamp } },
  ]);
  const page = await open({ path: "#/users" });
  await page.getByText("Tomás Arriaga has a new password").waitFor();

  await page.getByLabel("Signing in and out").check();
  await page.getByText("Tomás Arriaga has a new password").waitFor({ state: "detached" });
  await page.getByText("Mara Lindqvist signed in").waitFor();
  await emit([{ type: "user.logout", data: { userId: "u1", email: "mara@harbor.example", timestamp } }]);

  await page.getByText("Mara Lindqvist signed out").waitFor();
  await page.getByText("Here now: 0").waitFor();
});

test("a setting's page hears of that setting, and the theme of everybody follows it", async () => {
  const [here, there] = [await open({ path: "#/settings" }), await open()];
  const updated = {
    settingKey: "comments",
    newValue: "closed",
    updatedBy: "somebody",
    updatedAt: new Date(),
  };
  await emit([{ type: "settings.updated", data: updated }]);

  await here.getByRole("combobox").selectOption("dark");
  await here.getByRole("button", { name: "Save for everybody" }).click();
  await here.getByText("dark by you").waitFor();

  await there.locator("html[data-theme=dark]").waitFor();
  expect(await here.getByText("closed by somebody").count()).toBe(0);
  await here.getByLabel("Comments").check();
  await here.getByText("closed by somebody").waitFor();
});

test("maintenance is announced on every page until it is over or dismissed", async () => {
  const page = await open({ path: "#/users" });
  const [startsAt, endsAt] = [new Date(), new Date(Date.now() + 3_600_000)];

  await emit([{ type: "system.maintenance", data: { message: "The index moves.", startsAt, endsAt } }]);
  await page.getByRole("alert").getByText("The index moves.").waitFor();
  await page.getByRole("link", { name: "Content" }).click();
  await page.getByRole("heading", { name: "Content" }).waitFor();
  await page.getByRole("button", { name: "Dismiss" }).click();

  await page.getByText("The index moves.").waitFor({ state: "detached" });
});

test("whom the server does not want any more is asked to sign in", async () => {
  const page = await open();

  await server.fetch("/v1/connections?user=u1", {
    method: "DELETE",
    headers: { authorization: `Bearer ${API_KEY}` },
  });

  await page.getByText("The server does not accept this token any more.").waitFor();
});

test("a keyboard reaches everything, and can skip the navigation", async () => {
  const page = await open({ path: "#/content" });
  await page
    .getByRole("button", { name: /^Publish/ })
    .first()
    .waitFor();

  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Content");
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.localName)).toBe("select");
  await page.keyboard.press("Tab");

  expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toMatch(/ublish /);
});

describe.each([
  { colorScheme: "light", width: 1280 },
  { colorScheme: "dark", width: 1280 },
  { colorScheme: "light", width: 360 },
  { colorScheme: "dark", width: 360 },
] as const)("in $colorScheme, $width wide", ({ colorScheme, width }) => {
  test("every page keeps to WCAG 2.2 AA, and fits", { timeout: 4 * 60_000 }, async () => {
    const world = new World(random());
    await emit([
      ...world.past(Date.now()),
      ...Array.from({ length: 36 }, () => world.second(Date.now())).flat(),
    ]);
    const page = await open({ width });
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });

    for (const name of ["Dashboard", "Content", "Users", "Settings"]) {
      await page.getByRole("link", { name }).click();
      await page.getByRole("heading", { level: 1, name }).waitFor();
      await page.locator("main li, main .tag").first().waitFor();

      expect(await violations(page), name).toEqual([]);
      const overhang = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
      expect(await page.evaluate(overhang), name).toBe(0);
      const { SCREENSHOTS } = process.env;
      if (SCREENSHOTS)
        await page.screenshot({ path: join(SCREENSHOTS, `${name}-${colorScheme}-${width}.png`) });
    }
  });
});
