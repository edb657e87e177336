/**
 * Plausible events of any type, made from its schema: what a form begins with, and what the page's demonstrations
 * publish. Nothing of it is random where it can be seen: the same number gives the same event.
 */

import type { NewEvent } from "./api.ts";
import { type Entered, type EventForm, type Field, readEntered } from "./schema.ts";

type Pool = readonly [string, ...string[]];

/** What fields of these names hold, in turn. */
const POOLS: Readonly<Record<string, Pool>> = {
  title: ["Spring launch", "Pricing, explained", "How we ship", "A field guide to queues", "Release notes"],
  name: ["Atlas", "Beacon", "Cobalt", "Delta"],
  message: [
    "Ada viewed /pricing",
    "Checkout took 2.4 s",
    "Grace signed up",
    "Search index rebuilt",
    "Upstream timed out",
  ],
  service: ["api", "database", "search", "mail"],
  email: ["ada@example.com", "grace@example.com", "alan@example.com"],
  eventType: ["page_view", "sign_up", "purchase"],
  metric: ["lcp", "inp", "ttfb"],
  page: ["/pricing", "/docs", "/blog"],
  period: ["today", "week", "month"],
  chartId: ["revenue", "visitors", "errors"],
  settingKey: ["theme", "locale", "maintenance"],
  newValue: ["dark", "light", "auto"],
  type: ["blog", "page", "guide"],
  unit: ["ms"],
  updatedFields: ["name", "avatar"],
  status: ["planned", "active", "paused"],
  oldStatus: ["planned", "active"],
  newStatus: ["active", "done"],
};

/** The most that a number of these names has; others stay below a thousand. */
const NUMBERS: Readonly<Record<string, number>> = {
  pageViews: 9_000,
  uniqueVisitors: 3_000,
  value: 2_500,
  latencyMs: 250,
};

/** Entries for the required fields of a form. */
export function exampleOf(form: EventForm, number: number, now: Date): Entered {
  const required = form.fields.filter((field) => field.required);
  return Object.fromEntries(required.map((field) => [field.name, entryOf(field, number, now)]));
}

function entryOf(field: Field, number: number, now: Date): string {
  const { name, entry, choices } = field;
  const pool = POOLS[name];
  switch (entry) {
    case "time":
      return now.toISOString();
    case "choice":
      return at(choices, number);
    case "number":
      return String(spread(number) % (NUMBERS[name] ?? 1_000));
    case "boolean":
      return String(number % 2 === 0);
    case "list":
      return pool?.join(", ") ?? "one, two";
    case "text":
      return pool === undefined ? nameFor(name, number) : at(pool, number);
    case "json":
      return jsonFor(field, number);
  }
}

function jsonFor({ name, types }: Field, number: number): string {
  const pool = POOLS[name];
  if (pool !== undefined) return at(pool, number);
  if (types.includes("array")) return JSON.stringify([1, 2, 3].map((step) => spread(number + step) % 100));
  return types.includes("object") ? "{}" : String(spread(number) % 100);
}

/** `contentId` becomes `content-7`, `authorId` `author-7`. */
function nameFor(name: string, number: number): string {
  return `${name.replace(/Id$/, "").toLowerCase()}-${1 + (number % 40)}`;
}

function at(pool: readonly string[], number: number): string {
  return pool[number % pool.length] ?? "";
}

/** Far apart for neighbours, and always the same. */
function spread(number: number): number {
  return Math.imul(number + 1, 2_654_435_761) >>> 8;
}

/** Events of these types in turn, of which the first has the number `from`. */
export function burst(forms: readonly EventForm[], count: number, from = 0): NewEvent[] {
  const now = new Date();
  return Array.from({ length: count }, (_, at) => {
    const form = forms[at % forms.length];
    if (form === undefined) throw new Error("a burst needs a type");
    return { type: form.type, data: readEntered(form, exampleOf(form, from + at, now)).data };
  });
}
