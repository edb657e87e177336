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

/** Tells whether an event is among `events` and has what `filter` wants. */
export function matcher(events: readonly string[], filter: WireFilter): (event: Routed) => boolean {
  const wanted = Object.entries(filter).map(([path, value]) => ({ path, values: [value].flat() }));
  return (event) =>
    events.some((pattern) => matchesPattern(pattern, event.type)) &&
    wanted.every(({ path, values }) => [valueAt(event, path)].flat().some((value) => values.includes(value)));
}

function matchesPattern(pattern: string, type: string): boolean {
  const isPrefix = pattern === "*" || pattern.endsWith(".*");
  return isPrefix ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}

/** What stands at a path; nothing where a step is no key of an object. */
function valueAt(event: Routed, path: string): unknown {
  if (path === "@subject") return event.subject;
  if (path === "@source") return event.source;
  let value = event.data;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) {
      return undefined;
    }
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}
