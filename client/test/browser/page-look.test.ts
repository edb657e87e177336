/** The live page for everyone: by keyboard, on a phone, in the dark, for a screen reader; and what it may ask for. */

import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Chromium } from "../support/browser.ts";
import { isOpen, openPage, part, rows, showsRows, WITH_PAGE } from "../support/live-page.ts";
import { numbered, Server } from "../support/server.ts";
import { violations } from "../support/violations.ts";

const DESK = { width: 1_440, height: 1_000 };
const PHONE = { width: 390, height: 844 };

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

/** Opens everything that opens. */
async function unfold(page: Page): Promise<void> {
  await server.publish([
    numbered(1),
    { ...numbered(2), priority: "critical" },
    { ...numbered(3), priority: "low" },
  ]);
  await rows(page).first().getByText("content.published").click();
  await part(page, "Publish").getByText("Optional fields").click();
  await part(page, "Connections")
    .getByRole("button", { name: /of ann/ })
    .first()
    .click();
  await part(page, "Feed").getByRole("switch", { name: "Read slowly" }).check();
  await isOpen(page);
  await part(page, "Feed")
    .getByText("critical0 waiting")
    .or(part(page, "Feed").getByText("waiting").first())
    .first()
    .waitFor();
}

describe.each([
  { colorScheme: "light", ...DESK },
  { colorScheme: "dark", ...DESK },
  { colorScheme: "light", ...PHONE },
  { colorScheme: "dark", ...PHONE },
] as const)("in $colorScheme, $width wide", ({ colorScheme, ...size }) => {
  test("it keeps to WCAG 2.2 AA, and fits", async () => {
    await using live = await openPage(chromium, server);
    const { page } = live;
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);

    await unfold(page);
    expect(await violations(page)).toEqual([]);
    await part(page, "Connections").getByRole("button", { name: "Disconnect ann" }).first().click();
    await page.getByRole("dialog").waitFor();
    expect(await violations(page)).toEqual([]);

    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(size.width);
  });

  test("it asks for a token within WCAG 2.2 AA", async () => {
    await using live = await openPage(chromium, server, null);
    await live.page.emulateMedia({ colorScheme });
    await live.page.setViewportSize(size);
    await live.page.getByRole("button", { name: "Connect" }).click();
    await live.page.getByText("That is no JWT").waitFor();

    expect(await violations(live.page)).toEqual([]);
  });
});

test("every control is reached with Tab and can be seen to be", async () => {
  await using live = await openPage(chromium, server);
  const { page } = live;
  await unfold(page);
  const all = await page.evaluate(() => {
    const shown = (element: Element) =>
      (element as HTMLElement).checkVisibility() && !(element as HTMLButtonElement).disabled;
    const controls = [...document.querySelectorAll("a, button, input, select, textarea, summary")].filter(
      shown,
    );
    // Of radios of a group only the chosen one is in the order.
    return controls.filter(
      (control) => !(control instanceof HTMLInputElement && control.type === "radio" && !control.checked),
    ).length;
  });
  await page.evaluate(() => {
    document.body.tabIndex = -1;
    document.body.focus();
  });

  const reached: boolean[] = [];
  for (let step = 0; step < all + 10; step += 1) {
    await page.keyboard.press("Tab");
    const seen = await page.evaluate(() => {
      const focused = document.activeElement;
      if (focused === null || focused === document.body || focused.hasAttribute("data-reached")) return null;
      focused.setAttribute("data-reached", "");
      const ring = [focused, focused.nextElementSibling].some(
        (element) => element !== null && getComputedStyle(element).outlineStyle === "solid",
      );
      return focused.matches("a, button, input, select, textarea, summary") ? ring : undefined;
    });
    if (typeof seen === "boolean") reached.push(seen);
  }

  expect(reached).toHaveLength(all);
  expect(reached.filter((ring) => !ring)).toEqual([]);
});

test("it is worked by keyboard alone", async () => {
  await using live = await openPage(chromium, server);
  const { page } = live;
  const feed = part(page, "Feed");

  await feed.getByLabel("Events", { exact: true }).focus();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type("content.published");
  await page.keyboard.press("Enter");
  await part(page, "Publish").getByRole("button", { name: "Publish", exact: true }).focus();
  await page.keyboard.press("Enter");
  await showsRows(page, "content.published");
  await rows(page).first().locator("summary").focus();
  await page.keyboard.press("Enter");
  await rows(page).first().locator("pre").waitFor();
  await feed.getByRole("switch").focus();
  await page.keyboard.press("Space");
  await page.getByText("reading slowly").waitFor();
  await part(page, "Overview").getByRole("radio", { name: "published" }).focus();
  await page.keyboard.press("ArrowRight");
  expect(await part(page, "Overview").getByRole("radio", { name: "delivered" }).isChecked()).toBe(true);
});

test("the page asks for nothing but its own server, and its policy stands", async () => {
  await using live = await openPage(chromium, server);
  await unfold(live.page);

  const { headers, status } = await server.fetch("/", {}, "");
  expect(status).toBe(200);
  expect(headers.get("content-security-policy")).toMatch(/^default-src 'none';/);
  const origins = new Set(live.asked.map((address) => new URL(address).host));
  expect([...origins]).toEqual([server.address]);
});
