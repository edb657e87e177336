/** What a component asks for, compared by value: a filter that is written anew at each render is the same filter. */

import type { EventPattern, Filter } from "../types.ts";

/** What a subscription lets through. */
export interface Request<P extends EventPattern = EventPattern> {
  readonly patterns: readonly P[];
  readonly filter: Filter<P> | undefined;
}

/** Two requests that let the same through have the same form. */
export function formOf<P extends EventPattern>({ patterns, filter }: Request<P>): string {
  const paths = Object.entries(filter ?? {}).filter(([, wanted]) => wanted !== undefined);
  return JSON.stringify([[...new Set(patterns)].sort(), paths.sort(([a], [b]) => (a < b ? -1 : 1))]);
}

export function patternsOf<P extends EventPattern>(types: P | readonly P[]): readonly P[] {
  return typeof types === "string" ? [types] : types;
}
