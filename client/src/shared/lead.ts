/**
 * Who leads a group: whoever holds its lock. The browser gives it to one at a time and passes it on when a tab is
 * closed, crashes or is discarded. So there is never a doubt, whether a tab or a worker leads.
 */

import type { Connect } from "../client/transport.ts";
import { Exchange, type Outside } from "./exchange.ts";
import type { FromLeader, ToLeader } from "./messages.ts";

/** What a tab or a worker has of the browser. */
export interface Surroundings {
  readonly navigator: { readonly locks: LockManager };
  readonly BroadcastChannel: typeof BroadcastChannel;
}

/** Who can lead a group. */
export interface Candidate {
  readonly name: string;
  /** Connects to the server. */
  readonly connect: Connect;
  readonly surroundings: Surroundings;
}

/** Leads whenever it is its turn, until `signal` is aborted. */
export async function stand(candidate: Candidate, signal: AbortSignal): Promise<void> {
  // Where the lead was taken away, as from a tab that was frozen, it goes to the end of the line.
  while (!signal.aborted && (await lead(candidate, signal, { signal })));
}

/**
 * Leads once the lock is given, with `steal` at once; until `signal` is aborted or another takes the lock away, which
 * it returns.
 */
export async function lead(candidate: Candidate, signal: AbortSignal, how: LockOptions): Promise<boolean> {
  const term = new AbortController();
  const end = () => term.abort();
  signal.addEventListener("abort", end);
  const { locks } = candidate.surroundings.navigator;
  try {
    await locks.request(candidate.name, how, () => preside(candidate, term.signal));
    return false;
  } catch (error) {
    return error instanceof DOMException && error.name === "AbortError";
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}

/** Holds a lock until `signal` is aborted; returns once it is held, or not wanted any more. */
export function hold(locks: LockManager, name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const held = () => {
      resolve();
      return aborted(signal);
    };
    locks
      .request(name, { signal }, held)
      .then(resolve, (error) => (signal.aborted ? resolve() : reject(error)));
  });
}

/** Calls `gone` once nobody holds a lock any more, unless `signal` is aborted before. */
export function outlive(locks: LockManager, name: string, signal: AbortSignal, gone: () => void): void {
  // Shared, so that of many that wait one that is frozen does not hold up the others.
  locks.request(name, { mode: "shared", signal }, gone).catch(() => {});
}

async function preside({ name, connect, surroundings }: Candidate, signal: AbortSignal): Promise<void> {
  const { BroadcastChannel } = surroundings;
  const { locks } = surroundings.navigator;
  const channels = new Map<string, BroadcastChannel>();
  const channel = (member: string) => {
    const known = channels.get(member) ?? new BroadcastChannel(`${name}/${member}`);
    channels.set(member, known);
    return known;
  };
  const leader = `${name}:${crypto.randomUUID()}`;
  const outside: Outside = {
    leader,
    connect,
    tell: (member, line, message) => channel(member).postMessage({ line, message } satisfies FromLeader),
    watch: (member, gone) => {
      outlive(locks, `${name}/${member}`, signal, () => {
        channels.get(member)?.close();
        channels.delete(member);
        gone();
      });
    },
  };
  const early: ToLeader[] = [];
  const inbox = new BroadcastChannel(name);
  inbox.onmessage = ({ data }) => early.push(data as ToLeader);
  signal.addEventListener("abort", () => inbox.close());
  await hold(locks, leader, signal);
  // A member holds its lock before it says a word: whoever was not heard here is found there.
  const { held = [] } = await locks.query();
  const prefix = `${name}/`;
  const found = held.flatMap((lock) =>
    lock.name?.startsWith(prefix) ? [lock.name.slice(prefix.length)] : [],
  );
  if (signal.aborted) return;
  const exchange = new Exchange(outside, found);
  const hear = ({ member, message }: ToLeader) => exchange.handle(member, message);
  early.forEach(hear);
  inbox.onmessage = ({ data }) => hear(data as ToLeader);
  await aborted(signal);
  exchange.close();
  for (const one of channels.values()) one.close();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
