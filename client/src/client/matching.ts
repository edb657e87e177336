/**
 * Which events a subscription sees (PROTOCOL §3), by the same rules as the server's: several subscriptions share
 * one connection, and events name none.
 */

/** An event as far as it decides who sees it. */
export interface Routed {
  readonly type: string;
  readonly subject?: unknown;
  readonly source?: unknown;
  readonly data?: unknown;
}

/** A filter as it goes over the wire. */
export type WireFilter = Readonly<Record<string, unknown>>;

/** Whether an event is among `events` and has what `filter` wants. */
export function matches(events: readonly string[], filter: WireFilter, event: Routed): boolean {
  const { type } = event;
  return (
    events.some(
      (pattern) => pattern === type || (/^(.+\.)?\*$/.test(pattern) && type.startsWith(pattern.slice(0, -1))),
    ) &&
    // What is wanted and what is there may each be a value or an array of them.
    Object.entries(filter).every(([path, wanted]) =>
      [valueAt(event, path)].flat().some((value) => [wanted].flat().includes(value)),
    )
  );
}

/** What stands at a path; nothing where a step is no key of an object. */
function valueAt(event: Routed, path: string): unknown {
  const step = (value: unknown, key: string) =>
    isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return path[0] === "@" ? step(event, path.slice(1)) : path.split(".").reduce(step, event.data);
}

/** Whether it is what JSON calls an object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
