/**
 * Keeps a client's position over a reload of its page. What is subscribed to before the new page's first connection,
 * and as on the page before, goes on there.
 */

import type { Subscriptions } from "./subscriptions.ts";

/** Restores what the page before kept under `name`, and keeps it for the page after. */
export function keep(subscriptions: Subscriptions, name: string): void {
  // There is none in workers and Node, and a page may be forbidden to look at it.
  const storage = sessionStorage;
  const save = () => {
    const { saved } = subscriptions;
    if (saved) storage.setItem(name, JSON.stringify(saved));
    else storage.removeItem(name);
  };
  // A page that is hidden may be ended without another word.
  addEventListener("pagehide", save);
  document.addEventListener("visibilitychange", save);
  subscriptions.restore(JSON.parse(storage.getItem(name) ?? ""));
}
