/**
 * Tabs that share a connection while tabs crash, freeze, are put away, stop and lose their sockets, as a seed decides:
 * each must see everything that it is owed once, in the order of its lane. More seeds by `SEEDS=4,5,6`.
 */

import { afterEach, expect, test } from "vitest";
import type { Gap } from "../../src/index.ts";
import { Origin, type Tab } from "../support/origin.ts";
import { Server, token, waitFor } from "../support/server.ts";

const SEEDS = process.env.SEEDS?.split(",").map(Number) ?? [1, 2];
const STEPS = 40;
const TABS = 3;
const TIME = "2026-01-31T08:00:00Z";

/** Events of every lane, with what a type requires. */
const KINDS = {
  "content.deleted": { contentId: "c", title: "t", type: "blog", deletedAt: TIME },
  "user.login": { userId: "u1", timestamp: TIME },
  "settings.updated": { settingKey: "theme", newValue: 1, updatedBy: "u1", updatedAt: TIME },
  "system.maintenance": { message: "m", startsAt: TIME },
  "analytics.new_activity": { activityId: "a", eventType: "view", message: "m", timestamp: TIME },
} as const;
type Kind = keyof typeof KINDS;
const kinds = Object.keys(KINDS) as Kind[];

const INTERESTS = [["*"], ["content.*", "system.*"], ["analytics.*", "settings.updated"], ["user.*"]];

interface Watching {
  readonly tab: Tab;
  readonly interest: readonly string[];
  /** How many events there were when it began. */
  readonly begun: number;
  readonly seen: { readonly id: string; readonly type: string }[];
  readonly gaps: Gap[];
}

const opened: Tab[] = [];
afterEach(() => {
  for (const tab of opened.splice(0)) tab.client.stop();
});

/** Numbers from 0 to below 1 that follow from a seed. */
function randomBy(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

class Story {
  readonly random: () => number;
  readonly #server: Server;
  readonly #origin = new Origin();
  readonly #published: Kind[] = [];
  tabs: Watching[] = [];

  constructor(server: Server, seed: number) {
    this.#server = server;
    this.random = randomBy(seed);
  }

  pick<T>(all: readonly [T, ...T[]] | readonly T[]): T {
    return all[Math.floor(this.random() * all.length)] as T;
  }

  async publish(type: Kind): Promise<void> {
    this.#published.push(type);
    await this.#server.publish({ id: `e${this.#published.length}`, type, data: KINDS[type] });
  }

  /** Opens a tab, whose interest others may have too. */
  async watch(): Promise<void> {
    const gaps: Gap[] = [];
    const onGap = (gap: Gap) => gaps.push(gap);
    const tab = await this.#origin.open({ url: this.#server.url, token: token(), onGap });
    opened.push(tab);
    const seen: Watching["seen"] = [];
    const interest = this.pick(INTERESTS);
    let isBegun = false;
    const onBegin = () => {
      isBegun = true;
    };
    tab.client.subscribe(interest, ({ id, type }) => seen.push({ id, type }), { onBegin });
    await waitFor("the beginning", () => isBegun);
    this.tabs.push({ tab, interest, begun: this.#published.length, seen, gaps });
  }

  /** The ids that a tab is owed of a kind, in order. */
  owed({ interest, begun }: Watching, kind: Kind): string[] {
    const wanted = interest.some((pattern) => pattern === kind || kind.startsWith(pattern.slice(0, -1)));
    const all = this.#published.map((type, index) => ({ type, index }));
    const owed = all.filter(({ type, index }) => wanted && type === kind && begun <= index);
    return owed.map(({ index }) => `e${index + 1}`);
  }
}

const FAULTS: readonly ((tab: Tab, story: Story) => void)[] = [
  (tab, story) => {
    tab.crash();
    story.tabs = story.tabs.filter((one) => one.tab !== tab);
  },
  (tab) => tab.freeze(),
  (tab) => tab.thaw(),
  (tab) => tab.page.dispatchEvent(new Event("pagehide")),
  (tab) => tab.page.dispatchEvent(new Event("pageshow")),
  (tab) => tab.client.stop(),
  (tab) => tab.client.start(),
  (tab) => {
    for (const socket of tab.sockets) socket.terminate();
  },
];

test.each(SEEDS)(
  "whatever happens to tabs, each sees what it is owed once and in order (seed %i)",
  async (seed) => {
    await using server = await Server.start();
    const story = new Story(server, seed);
    for (let step = 0; step < STEPS; step++) {
      while (story.tabs.length < TABS) await story.watch();
      for (let count = Math.floor(story.random() * 4); 0 < count; count--)
        await story.publish(story.pick(kinds));
      if (story.random() < 0.5) story.pick(FAULTS)(story.pick(story.tabs).tab, story);
      // Faults meet what is on its way.
      await new Promise((resolve) => setTimeout(resolve, story.random() * 20));
    }

    for (const { tab } of story.tabs) {
      tab.thaw();
      tab.page.dispatchEvent(new Event("pageshow"));
      tab.client.start();
    }
    for (const kind of kinds) await story.publish(kind);
    const isComplete = (one: Watching) =>
      kinds.every((kind) => story.owed(one, kind).every((id) => one.seen.some((event) => event.id === id)));
    await waitFor("everything", () => story.tabs.every(isComplete));

    for (const one of story.tabs) {
      for (const kind of kinds) {
        const ids = one.seen.filter(({ type }) => type === kind).map(({ id }) => id);
        expect(ids).toEqual(story.owed(one, kind));
      }
      expect(one.gaps).toEqual([]);
    }
  },
);
