/**
 * The server's schema as a form needs it: which types there are, which fields a type has and how each is entered,
 * and what is wrong with what was entered, in the server's own words. A rule of an application's own type that no
 * form can know is left to the server, which checks everything anyway.
 */

import { isTimestamp } from "../src/emitter/validate.ts";
import type { Priority } from "../src/types.ts";
import type { EventFault } from "./api.ts";

/** As far as a form looks at it. */
export interface FieldSchema {
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly description?: string;
}

export interface DataSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly required?: readonly string[];
}

/** The document of `GET /v1/schema`. */
export interface EventSchema {
  readonly oneOf: readonly { readonly title: string; readonly "x-priority": Priority }[];
  readonly $defs: Readonly<Record<string, DataSchema>>;
}

export type Entry = "text" | "time" | "number" | "boolean" | "choice" | "list" | "json";

export interface Field {
  readonly name: string;
  readonly required: boolean;
  readonly entry: Entry;
  /** Of a choice. */
  readonly choices: readonly string[];
  /** The JSON types that it may have. */
  readonly types: readonly string[];
  readonly description: string;
}

export interface EventForm {
  readonly type: string;
  readonly priority: Priority;
  readonly description: string;
  /** Required ones first. None where the type's schema does not name its fields: then its data are entered as JSON. */
  readonly fields: readonly Field[];
}

/** The forms of all types, in the schema's order. */
export function formsOf(schema: EventSchema): EventForm[] {
  return schema.oneOf.map(({ title, "x-priority": priority }) => {
    const { description = "", properties = {}, required = [] } = schema.$defs[title] ?? {};
    const fields = Object.entries(properties).map(([name, field]) =>
      fieldOf(name, field, required.includes(name)),
    );
    const order = (field: Field) => (field.required ? required.indexOf(field.name) : required.length);
    return { type: title, priority, description, fields: fields.sort((a, b) => order(a) - order(b)) };
  });
}

function fieldOf(name: string, schema: FieldSchema, required: boolean): Field {
  const types = [schema.type ?? []].flat().filter((type) => type !== "null");
  const choices = (schema.enum ?? []).filter((choice) => typeof choice === "string");
  const isList = types[0] === "array" && (schema as { items?: FieldSchema }).items?.type === "string";
  return {
    name,
    required,
    entry: entryOf(schema, types, isList),
    choices,
    types,
    description: schema.description ?? "",
  };
}

function entryOf(schema: FieldSchema, types: readonly string[], isList: boolean): Entry {
  if (schema.enum?.every((choice) => choice === null || typeof choice === "string")) return "choice";
  if (schema.format === "date-time") return "time";
  const [only, ...others] = types;
  if (others.length > 0 || only === undefined)
    return types.includes("string") && !types.includes("number") ? "text" : "json";
  if (isList) return "list";
  if (only === "integer" || only === "number") return "number";
  if (only === "string") return "text";
  return only === "boolean" ? "boolean" : "json";
}

/** What was entered, by the names of the fields. */
export type Entered = Readonly<Record<string, string>>;

export interface Read {
  readonly data: Record<string, unknown>;
  readonly faults: readonly EventFault[];
}

/** The data that was entered, and everything that is wrong with it. A field that is left empty is left out. */
export function readEntered(form: EventForm, entered: Entered): Read {
  const data: Record<string, unknown> = {};
  const faults: EventFault[] = [];
  for (const field of form.fields) {
    const text = entered[field.name] ?? "";
    const path = pathOf(field.name);
    if (text.trim() === "") {
      if (field.required) faults.push({ path, message: "is required" });
      continue;
    }
    const value = entryValue(field, text);
    if (value === undefined) faults.push({ path, message: `must be ${wanted(field)}` });
    else data[field.name] = value;
  }
  return { data, faults };
}

/** Data that was entered as JSON, as where a type's schema does not name its fields. */
export function readRaw(text: string): Read {
  try {
    const data: unknown = JSON.parse(text);
    if (typeof data === "object" && data !== null && !Array.isArray(data)) {
      return { data: data as Record<string, unknown>, faults: [] };
    }
    return { data: {}, faults: [{ path: "$.data", message: "must be an object" }] };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { data: {}, faults: [{ path: "$.data", message: `is no JSON: ${why}` }] };
  }
}

/** Where a field stands in an event. */
function pathOf(name: string): string {
  return `$.data.${name}`;
}

/** The value of an entry; none where it is not of the field's kind. */
function entryValue(field: Field, text: string): unknown {
  switch (field.entry) {
    case "text":
      return text;
    case "time":
      return isTimestamp(text.trim()) ? text.trim() : undefined;
    case "choice":
      return field.choices.includes(text) ? text : undefined;
    case "number":
      return Number.isFinite(Number(text)) ? Number(text) : undefined;
    case "boolean":
      return text === "true" ? true : text === "false" ? false : undefined;
    case "list":
      return text
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== "");
    case "json":
      return jsonOf(field, text);
  }
}

function jsonOf({ types }: Field, text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Where a text is allowed, what is no JSON is one.
    return types.length === 0 || types.includes("string") ? text : undefined;
  }
  const type = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  return types.length === 0 || types.includes(type) ? value : undefined;
}

const WORDS: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  integer: "a number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
};

function wanted({ entry, choices, types }: Field): string {
  if (entry === "choice") return `one of ${choices.join(", ")}`;
  if (entry === "time") return "an RFC 3339 timestamp, as in 2026-01-31T08:09:10Z";
  return types.map((type) => WORDS[type] ?? type).join(" or ");
}

/** The faults of one field, those within it included. */
export function faultsAt(faults: readonly EventFault[], name: string): readonly EventFault[] {
  const path = pathOf(name);
  return faults.filter(
    (fault) => fault.path === path || fault.path.startsWith(`${path}[`) || fault.path.startsWith(`${path}.`),
  );
}
