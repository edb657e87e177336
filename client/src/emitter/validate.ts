/**
 * What the server would say about an event, said before it is sent and in the same words. Only a rule that the
 * server's configuration can change is left to it: which further types there are, and how large an event may be.
 */

import { FIELDS, ID_CHARS_MAX, URI_CHARS_MAX, URI_PATTERN } from "../generated/emitter.ts";
import type { EventType } from "../types.ts";
import type { Fault } from "./api.ts";

/** What a field may hold: a JSON type, several of them, or one of these texts. */
export type Kind =
  | "any"
  | "string"
  | "timestamp"
  | "number"
  | "array"
  | "strings"
  | "string|number"
  | "string|object"
  | "object|array"
  | readonly string[];

/** A type's fields with their kinds; a `?` marks what may be absent or `null`. */
export type Fields = Readonly<Record<string, Kind>>;

const PRIORITIES: readonly string[] = ["critical", "high", "normal", "low"];

const WORDS = {
  any: "any value",
  string: "a string",
  timestamp: "an RFC 3339 timestamp, as in 2026-01-31T08:09:10Z",
  number: "a number",
  array: "an array",
  strings: "an array of strings",
  "string|number": "a string or a number",
  "string|object": "a string or an object",
  "object|array": "an object or an array",
};

/** The fault of a value that is not of a kind. */
function mismatch(path: string, kind: Kind): Fault {
  const words = typeof kind === "string" ? WORDS[kind] : `one of ${kind.join(", ")}`;
  return { path, message: `must be ${words}` };
}

/** Lists everything that keeps an event from being published; none where it is in order. */
export function faultsOf(event: Readonly<Record<string, unknown>>): Fault[] {
  return [...attributeFaults(event), ...dataFaults(event.type, json(event.data))];
}

function attributeFaults(event: Readonly<Record<string, unknown>>): Fault[] {
  const faults: Fault[] = event.type === undefined ? [{ path: "$.type", message: "is required" }] : [];
  const check = (name: string, legal: (text: string) => boolean, message: string) => {
    const value = json(event[name]);
    if (value === undefined || value === null) return;
    if (typeof value !== "string") faults.push({ path: `$.${name}`, message: "must be a string" });
    else if (!legal(value)) faults.push({ path: `$.${name}`, message });
  };
  const checkText = (name: string, max: number) =>
    check(name, (text) => hasLength(text, max), `must have 1 to ${max} characters`);

  checkText("id", ID_CHARS_MAX);
  checkText("source", URI_CHARS_MAX);
  checkText("subject", URI_CHARS_MAX);
  if (typeof event.source === "string" && hasLength(event.source, URI_CHARS_MAX)) {
    const message = "must be a URI reference: no spaces, control characters or quotes";
    check("source", (text) => URI_PATTERN.test(text), message);
  }
  check("type", () => true, "");
  check("time", isTimestamp, mismatch("", "timestamp").message);
  check("priority", (text) => PRIORITIES.includes(text), mismatch("", PRIORITIES).message);
  return faults;
}

function dataFaults(type: unknown, data: unknown): Fault[] {
  if (data === undefined) return [{ path: "$.data", message: "is required" }];
  if (!isObject(data)) return [{ path: "$.data", message: "must be an object" }];
  return isBuiltIn(type) ? fieldFaults(FIELDS[type], data) : [];
}

function isBuiltIn(type: unknown): type is EventType {
  return typeof type === "string" && Object.hasOwn(FIELDS, type);
}

function fieldFaults(fields: Fields, data: Readonly<Record<string, unknown>>): Fault[] {
  const faults: Fault[] = [];
  for (const [key, kind] of Object.entries(fields)) {
    const optional = key.endsWith("?");
    const name = optional ? key.slice(0, -1) : key;
    const path = `$.data.${name}`;
    const value = Object.hasOwn(data, name) ? json(data[name]) : undefined;
    if (value === undefined) {
      if (!optional) faults.push({ path, message: "is required" });
    } else if (!(optional && value === null)) {
      faults.push(...valueFaults(kind, value, path));
    }
  }
  return faults;
}

function valueFaults(kind: Kind, value: unknown, path: string): Fault[] {
  if (kind === "strings" && Array.isArray(value)) {
    return value.flatMap((item, index) => valueFaults("string", json(item), `${path}[${index}]`));
  }
  return admits(kind, value) ? [] : [mismatch(path, kind)];
}

function admits(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case "any":
      return true;
    case "timestamp":
      return typeof value === "string" && isTimestamp(value);
    case "strings":
      return false;
    case "string":
    case "number":
    case "array":
    case "string|number":
    case "string|object":
    case "object|array":
      return kind.split("|").includes(jsonType(value));
    default:
      return typeof value === "string" && kind.includes(value);
  }
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return "array";
  // JSON has no NaN and no infinity: they would be sent as `null`.
  if (typeof value === "number" && !Number.isFinite(value)) return "null";
  return isObject(value) ? "object" : typeof value;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** The value that JSON would hold in place of this one. A date that is none stays, so that it is a fault and not `null`. */
function json(value: unknown): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? value : value.toJSON();
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  const convertible = typeof value === "object" && value !== null && "toJSON" in value;
  return convertible && typeof value.toJSON === "function" ? value.toJSON() : value;
}

/** Whether a text has 1 to `max` characters, counted as the server counts them. */
function hasLength(text: string, max: number): boolean {
  return text !== "" && (text.length <= max || [...text].length <= max);
}

const RFC_3339 =
  /^(\d{4}-(\d\d)-(\d\d))[Tt]((?:[01]\d|2[0-3]):[0-5]\d:)([0-5]\d|60)(?:\.\d+)?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** Whether a text is an RFC 3339 date and time. A leap second is accepted in the last minute of a month, UTC. */
export function isTimestamp(text: string): boolean {
  const parts = RFC_3339.exec(text);
  if (parts === null) return false;
  const [, date = "", month, day, minute = "", second, zone = ""] = parts;
  const midnight = new Date(`${date}T00:00:00Z`);
  // A day beyond its month's last is carried over, or is no date at all.
  if (midnight.getUTCMonth() + 1 !== Number(month) || midnight.getUTCDate() !== Number(day)) return false;
  if (second !== "60") return true;
  const after = new Date(new Date(`${date}T${minute}59${zone.toUpperCase()}`).getTime() + 1000);
  return after.getUTCDate() === 1 && after.getUTCHours() === 0 && after.getUTCMinutes() === 0;
}
