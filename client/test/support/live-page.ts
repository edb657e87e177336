/**
 * The live page of a real server in a real browser, as a person has it: opened with a token in its address or without,
 * and everything that it asked for remembered.
 */

import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";
import type { Chromium } from "./browser.ts";
import { type Claims, type Server, type Settings, token } from "./server.ts";

export const WITH_PAGE: Settings = { PAGE__ENABLED: "true" };

/** Claims of someone who may do everything. */
export const EVERYTHING: Claims = {
  tidings: { subscribe: ["*"], publish: ["*"], maxPriority: "critical", admin: true },
};

export interface LivePage extends AsyncDisposable {
  readonly page: Page;
  /** Addresses of everything that the page has asked for since it was opened, sockets included. */
  readonly asked: readonly string[];
}

/** Opens the page and waits until it is connected. Without claims it is opened without a token, and waits for nothing. */
export async function openPage(
  chromium: Chromium,
  server: Server,
  claims: (Claims & { readonly sub?: string }) | null = EVERYTHING,
): Promise<LivePage> {
  const page = await chromium.page("about:blank");
  await page.setViewportSize({ width: 1_440, height: 1_000 });
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("websocket", (socket) => asked.push(socket.url()));
  const query = claims === null ? "" : `?token=${token({ sub: "ann", ...claims })}`;
  await page.goto(`${server.url}/${query}`);
  if (claims !== null) await isOpen(page);
  return { page, asked, [Symbol.asyncDispose]: () => page.context().close() };
}

/** Waits until the page is connected. */
export async function isOpen(page: Page): Promise<void> {
  await page.getByText("connected", { exact: true }).waitFor();
}

/** A part of the page by its heading. */
export function part(page: Page, heading: string): Locator {
  return page.getByRole("region", { name: heading, exact: true });
}

/** The rows of the feed, newest first. */
export function rows(page: Page): Locator {
  return page.getByRole("list", { name: "Events, newest first" }).getByRole("listitem");
}

/** What the overview says of a number. */
export async function figure(page: Page, name: string): Promise<string> {
  const term = page.getByRole("term").filter({ hasText: name });
  return (await term.locator("xpath=following-sibling::dd/strong").textContent()) ?? "";
}

/** Waits until the feed's rows begin with these texts, newest first. */
export async function showsRows(page: Page, ...texts: readonly string[]): Promise<void> {
  await expect
    .poll(async () => {
      const found = await rows(page).allTextContents();
      return texts.every((text, at) => found[at]?.includes(text)) ? texts : found.slice(0, texts.length + 1);
    })
    .toEqual(texts);
}
