/**
 * The server's messages as the client reads them (PROTOCOL §2–5). What is read has the form that is written here;
 * whatever has not is a `BadMessage`.
 */

import type { Gap, Lane, Position, Priority } from "../types.ts";
import type { PublishedEvent } from "./api.ts";
import type { Routed } from "./matching.ts";

/** The protocol that this client speaks. */
export const PROTOCOL = 1;

export const LANES: readonly Lane[] = ["critical", "high", "normal", "low"];

/** A message of the server that is against the protocol. */
export class BadMessage extends Error {}

/** An event as the server sent it. */
export interface WireEvent extends Routed {
  readonly priority?: Priority;
}

export interface OffsetEvent {
  readonly offset: number;
  readonly event: WireEvent;
}

export interface Fault {
  readonly code: string;
  readonly message?: string;
  readonly details?: unknown;
}

/** Each message that the client need know. */
export interface ServerMessages {
  readonly welcome: {
    /** Where it is another than the client's, the form of the rest is unknown. */
    readonly protocol: number;
    readonly epoch: string;
    /** `timeout`: how long nothing may be heard, in ms. */
    readonly heartbeat: { readonly timeout: number };
    /** When the token expires, in seconds of Unix time. */
    readonly expiresAt?: number;
  };
  readonly event: OffsetEvent & { readonly lane: Lane };
  readonly gap: Gap;
  readonly heartbeat: { readonly lanes: Position["lanes"] };
  readonly subscribed: {
    readonly id: string;
    readonly offset: number;
    readonly recent?: readonly OffsetEvent[];
    readonly truncated?: boolean;
  };
  readonly resumed: {
    readonly recovered: boolean;
    readonly position: Position;
    readonly subscriptions: readonly {
      readonly id: string;
      readonly offset?: number;
      readonly error?: Fault;
    }[];
  };
  readonly authenticated: { readonly expiresAt?: number };
  readonly published: PublishedEvent & { readonly id: string };
  readonly reconnect: { readonly after: number };
  readonly error: Fault & { readonly id?: string };
}

export type ServerMessage = {
  [T in keyof ServerMessages]: { readonly type: T } & ServerMessages[T];
}[keyof ServerMessages];

/** What a value must be: of the type of an example, `0` standing for whole numbers; a field with `?` may be missing. */
type Form = string | number | boolean | readonly [Form] | { readonly [field: string]: Form };

const TEXT = "";
const WHOLE = 0;
const lanes = { critical: WHOLE, high: WHOLE, normal: WHOLE, low: WHOLE };
const offsetEvent = { offset: WHOLE, event: { type: TEXT } };
const fault = { code: TEXT, "message?": TEXT };

const FORMS: { readonly [T in keyof ServerMessages]: Form } = {
  welcome: { epoch: TEXT, heartbeat: { timeout: WHOLE }, "expiresAt?": WHOLE },
  event: { ...offsetEvent, lane: TEXT },
  gap: { lane: TEXT, "after?": WHOLE, until: WHOLE, reason: TEXT },
  heartbeat: { lanes },
  subscribed: { id: TEXT, offset: WHOLE, "recent?": [offsetEvent] },
  resumed: {
    recovered: true,
    position: { epoch: TEXT, lanes },
    subscriptions: [{ id: TEXT, "offset?": WHOLE, "error?": fault }],
  },
  authenticated: { "expiresAt?": WHOLE },
  published: { id: TEXT, eventId: TEXT, offset: WHOLE },
  reconnect: { after: WHOLE },
  error: { ...fault, "id?": TEXT },
};

/**
 * Reads one message, or throws a `BadMessage`. None where the client need not know it: `pong` and `unsubscribed`
 * have done their part by arriving, and kinds of a later version are ignored.
 */
export function parse(text: string): ServerMessage | undefined {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    // What is no JSON has no type either.
  }
  if (!fits(message, { type: TEXT })) throw new BadMessage("it has no type");
  const { type, protocol, lane } = message as { type: keyof ServerMessages; protocol?: number; lane?: Lane };
  if (!Object.hasOwn(FORMS, type)) return undefined;
  const newer = type === "welcome" && protocol !== PROTOCOL;
  if (!newer && (!fits(message, FORMS[type]) || (lane && !LANES.includes(lane)))) {
    throw new BadMessage(`no ${type} is like this`);
  }
  return message as ServerMessage;
}

function fits(value: unknown, form: Form): boolean {
  if (typeof form !== "object") {
    return (
      typeof value === typeof form &&
      (form !== WHOLE || (Number.isSafeInteger(value) && WHOLE <= (value as number)))
    );
  }
  if (Array.isArray(form))
    return Array.isArray(value) && value.every((one) => fits(one, (form as readonly [Form])[0]));
  if (!isObject(value)) return false;
  return Object.entries(form).every(([field, inner]) => {
    const name = field.replace("?", "");
    return (name !== field && value[name] === undefined) || fits(value[name], inner);
  });
}

/** Whether it is a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
