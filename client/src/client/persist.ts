/**
 * Keeps a client's position over a reload of its page. What is subscribed to before the new page's first connection,
 * and as on the page before, goes on there.
 */

import type { Position } from "../types.ts";
import { LANES, whole } from "./messages.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** What outlives a page: the position, and where each of its subscriptions began, by key. */
export interface Saved extends Position {
  readonly begun: Readonly<Record<string, number>>;
}

/** Restores what the page before kept under `name`, and keeps it for the page after. */
export function keep(subscriptions: Subscriptions, name: string): void {
  // There is none in workers and Node, and a page may be forbidden to look at it.
  const storage = sessionStorage;
  const save = () => {
    const saved = toSave(subscriptions);
    if (saved) storage.setItem(name, JSON.stringify(saved));
    else storage.removeItem(name);
  };
  // A page that is hidden may be ended without another word.
  addEventListener("pagehide", save);
  document.addEventListener("visibilitychange", save);
  restore(subscriptions, JSON.parse(storage.getItem(name) ?? ""));
}

/** What to keep for the page after this one; nothing where nothing is subscribed. */
export function toSave({ position, begun }: Subscriptions): Saved | null {
  const all = begun.flatMap(([key, from]) => (from === undefined ? [] : [[key, from]]));
  return position && { ...position, begun: Object.fromEntries(all) };
}

/** Goes on where the page before was. Throws where it is nothing saved. */
export function restore(subscriptions: Subscriptions, { begun, ...position }: Saved): void {
  for (const lane of LANES) whole(position.lanes[lane]);
  subscriptions.restore(position, begun);
}
