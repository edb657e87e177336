/** What a person types into the feed's two fields: event types, and what their events must have. */

import type { Filter, Scalar } from "../src/types.ts";

/** Types by commas or spaces. Throws with a sentence where there is none. */
export function readTypes(text: string): string[] {
  const types = text.split(/[\s,]+/).filter((type) => type !== "");
  if (types.length === 0) throw new Error("Name at least one type, category.* or *.");
  return types;
}

/** `path=value` by spaces, or a JSON object. Throws with a sentence where it is neither. */
export function readFilter(text: string): Filter {
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) {
    try {
      return JSON.parse(trimmed) as Filter;
    } catch (error) {
      throw new Error(`That is no JSON: ${error instanceof Error ? error.message : error}`);
    }
  }
  const filter: Record<string, Scalar> = {};
  for (const pair of trimmed.split(/\s+/).filter((part) => part !== "")) {
    const [, path, value = ""] = /^([^=]+)=(.*)$/.exec(pair) ?? [];
    if (path === undefined) throw new Error(`“${pair}” is not of the form path=value.`);
    filter[path] = scalar(value);
  }
  return filter as Filter;
}

/** A number, true, false, null or a quoted text as JSON has it; anything else is text. */
function scalar(text: string): Scalar {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? text : (value as Scalar);
  } catch {
    return text;
  }
}
