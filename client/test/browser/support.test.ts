/** That a test can have a browser with the package's own code in it. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Chromium, Site } from "../support/browser.ts";

const entry = new URL("pages/visibility.ts", import.meta.url);
let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(() => chromium[Symbol.asyncDispose]());

test("a tab is hidden while another is in front, and visible when it is in front again", async () => {
  await using site = await Site.serve(entry);
  const first = await chromium.tab(site.url);

  const second = await chromium.tab(site.url);
  await first.getByText("visible hidden").waitFor();
  await first.bringToFront();

  await first.getByText("visible hidden visible").waitFor();
  await second.getByText("visible hidden").waitFor();
});

test("a page by itself stays visible beside others", async () => {
  await using site = await Site.serve(entry);
  const first = await chromium.page(site.url);

  await chromium.page(site.url);

  expect(await first.evaluate(() => document.visibilityState)).toBe("visible");
});

test("what goes wrong in a page is known to the test", async () => {
  await using site = await Site.serve(entry);
  const page = await chromium.page(site.url);

  await page.evaluate(() => {
    console.error("told");
    setTimeout(() => Promise.reject(new Error("unhandled")));
  });

  await expect.poll(() => chromium.faults).toEqual(["told", "Error: unhandled"]);
});

test("a site hands what it does not serve itself to the server behind it", async () => {
  const behind = createServer((_, response) => response.end("from behind")).listen(0, "127.0.0.1");
  await once(behind, "listening");
  await using site = await Site.serve(entry, {
    behind: () => `127.0.0.1:${(behind.address() as AddressInfo).port}`,
  });

  const response = await fetch(new URL("/v1/anything", site.url));

  expect(await response.text()).toBe("from behind");
  behind.close();
});
