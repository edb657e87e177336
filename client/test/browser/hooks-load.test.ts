/**
 * The hooks under load: a thousand events a second from a real server, in a real browser. How many frames a second
 * that leaves depends on the machine, so it is printed; what must hold everywhere is that no frame has two commits.
 * Where others keep the machine busy, `chrt -r 1 npx vitest run hooks-load` measures as if they were not there.
 */

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Chromium, Site } from "../support/browser.ts";
import { numbered, Server, token, waitFor } from "../support/server.ts";

const RATE = 1000;

let chromium: Chromium;
let server: Server;
let site: Site;
beforeAll(async () => {
  chromium = await Chromium.launch();
  server = await Server.start();
  site = await Site.serve(new URL("pages/load.tsx", import.meta.url), { behind: () => server.address });
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await server.kill();
  await chromium[Symbol.asyncDispose]();
});

async function open(components: number): Promise<Page> {
  const page = await chromium.page(`${site.url}?token=${token()}&components=${components}`);
  onTestFinished(() => page.close());
  await page.getByText("connected", { exact: true }).waitFor();
  return page;
}

/** Publishes for so many seconds, and waits until the page has everything. */
async function loadFor(page: Page, seconds: number): Promise<void> {
  const total = RATE * seconds;
  const begin = performance.now();
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, sent + RATE, Math.floor(((performance.now() - begin) / 1000) * RATE));
    if (sent < due) await server.publish(Array.from({ length: due - sent }, (_, at) => numbered(sent + at)));
    sent = Math.max(sent, due);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await waitFor("all events", async () => (await page.evaluate(() => load.received)) === total);
}

/** What happened in a page while something was done. */
async function during(page: Page, what: () => Promise<void>) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const look = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    const busy = metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0;
    return { at: performance.now(), busy, counts: await page.evaluate(() => load) };
  };
  const before = await look();
  await what();
  const after = await look();
  const seconds = (after.at - before.at) / 1000;
  const perSecond = (key: "frames" | "commits" | "received") =>
    Math.round((after.counts[key] - before.counts[key]) / seconds);
  console.log(
    `${perSecond("received")} events/s: ${perSecond("frames")} frames/s, ${perSecond("commits")} commits/s,`,
    `main thread ${Math.round((100 * (after.busy - before.busy)) / seconds)} % of a processor`,
  );
  return { ...after.counts, seconds };
}

test("a page is rendered at most once a frame, however many events come", async () => {
  const page = await open(0);

  await during(page, () => page.waitForTimeout(1000));
  const { commits, frames, seconds } = await during(page, () => loadFor(page, 5));

  // Where a frame takes longer than 100 ms, a timer is first. Three more: before and after connecting, and the last.
  expect(commits).toBeLessThanOrEqual(frames + 10 * seconds + 3);
  expect(commits).toBeGreaterThan(3);
  expect(chromium.faults).toEqual([]);
});

test("what is shown at one time is of one time, though events come while React renders", async () => {
  const page = await open(40);

  const { torn, interrupted } = await during(page, () => loadFor(page, 3));

  console.log(`${interrupted} components rendered after events had been shown in the middle of a render`);
  expect(torn).toBe(0);
  expect(chromium.faults).toEqual([]);
});
