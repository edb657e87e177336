/**
 * The server's messages as the client reads them (PROTOCOL §2–5). What is read is right by its form; whatever is
 * against the protocol is a `BadMessage`.
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
  readonly message: string;
  readonly details: unknown;
}

/** Each message with what the client needs of it; `other` is one that it need not know. */
export type ServerMessage =
  | { readonly type: "newer"; readonly protocol: unknown }
  | Welcome
  | ({ readonly type: "event"; readonly lane: Lane } & OffsetEvent)
  | { readonly type: "gap"; readonly gap: Gap }
  | { readonly type: "heartbeat"; readonly lanes: Position["lanes"] }
  | SubscribedMessage
  | ResumedMessage
  | { readonly type: "unsubscribed"; readonly id: string }
  | { readonly type: "authenticated"; readonly expires: number | undefined }
  | { readonly type: "published"; readonly id: string; readonly result: PublishedEvent }
  | { readonly type: "reconnect"; readonly after: number }
  | { readonly type: "error"; readonly id: string; readonly fault: Fault }
  | { readonly type: "other" };

export interface Welcome {
  readonly type: "welcome";
  readonly epoch: string;
  /** How long nothing may be heard, in ms. */
  readonly timeout: number;
  /** When the token expires, as Unix time in ms. */
  readonly expires: number | undefined;
}

export interface SubscribedMessage {
  readonly type: "subscribed";
  readonly id: string;
  readonly offset: number;
  readonly recent: readonly OffsetEvent[];
  readonly truncated: boolean;
}

export interface ResumedMessage {
  readonly type: "resumed";
  readonly recovered: boolean;
  readonly position: Position;
  readonly subscriptions: readonly ResumedSubscription[];
}

export interface ResumedSubscription {
  readonly id: string;
  readonly offset: number | undefined;
  readonly fault: Fault | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads one message, or throws a `BadMessage`. */
export function parse(text: string): ServerMessage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadMessage("it is not JSON");
  }
  const message = object(value, "message");
  const { type } = message;
  switch (string(type, "type")) {
    case "welcome": {
      const { protocol } = message;
      if (protocol !== PROTOCOL) return { type: "newer", protocol };
      const timeout = whole(object(message.heartbeat, "heartbeat").timeout, "timeout");
      return { type: "welcome", epoch: string(message.epoch, "epoch"), timeout, expires: expires(message) };
    }
    case "event":
      return { type: "event", lane: lane(message.lane), ...offsetEvent(message) };
    case "gap": {
      const { after, reason } = message;
      const gap = {
        lane: lane(message.lane),
        until: whole(message.until, "until"),
        reason: string(reason, "reason"),
      };
      return { type: "gap", gap: after === undefined ? gap : { ...gap, after: whole(after, "after") } };
    }
    case "heartbeat":
      return { type: "heartbeat", lanes: lanes(message.lanes) };
    case "subscribed": {
      const recent = array(message.recent ?? [], "recent").map(offsetEvent);
      const truncated = message.truncated === true;
      return {
        type: "subscribed",
        id: id(message),
        offset: whole(message.offset, "offset"),
        recent,
        truncated,
      };
    }
    case "resumed": {
      const { epoch, lanes: offsets } = object(message.position, "position");
      const position = { epoch: string(epoch, "epoch"), lanes: lanes(offsets) };
      const subscriptions = array(message.subscriptions, "subscriptions").map(resumedSubscription);
      return { type: "resumed", recovered: message.recovered === true, position, subscriptions };
    }
    case "unsubscribed":
      return { type: "unsubscribed", id: id(message) };
    case "authenticated":
      return { type: "authenticated", expires: expires(message) };
    case "published": {
      const { eventId, offset, duplicate } = message;
      const result = {
        eventId: string(eventId, "eventId"),
        offset: whole(offset, "offset"),
        duplicate: duplicate === true,
      };
      return { type: "published", id: id(message), result };
    }
    case "reconnect":
      return { type: "reconnect", after: whole(message.after, "after") };
    case "error":
      return { type: "error", id: message.id === undefined ? "" : id(message), fault: fault(message) };
    default:
      // `pong` has done its part by arriving; kinds of a later version are ignored.
      return { type: "other" };
  }
}

function bad(name: string): never {
  throw new BadMessage(`its ${name} is not one`);
}

function object(value: unknown, name: string): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : bad(name);
}

function array(value: unknown, name: string): readonly unknown[] {
  return Array.isArray(value) ? value : bad(name);
}

function string(value: unknown, name: string): string {
  return typeof value === "string" ? value : bad(name);
}

function whole(value: unknown, name: string): number {
  return typeof value === "number" && Number.isSafeInteger(value) && 0 <= value ? value : bad(name);
}

function id(message: Fields): string {
  return string(message.id, "id");
}

function lane(value: unknown): Lane {
  return LANES.find((known) => known === value) ?? bad("lane");
}

function lanes(value: unknown): Position["lanes"] {
  const offsets = object(value, "lanes");
  const of = (name: Lane) => whole(offsets[name], name);
  return { critical: of("critical"), high: of("high"), normal: of("normal"), low: of("low") };
}

/** When the token in use expires, as Unix time in ms. */
function expires({ expiresAt }: Fields): number | undefined {
  if (expiresAt === undefined) return undefined;
  return typeof expiresAt === "number" ? expiresAt * 1000 : bad("expiresAt");
}

function offsetEvent(value: unknown): OffsetEvent {
  const fields = object(value, "event");
  const event = object(fields.event, "event");
  string(event.type, "event's type");
  return { offset: whole(fields.offset, "offset"), event: event as unknown as WireEvent };
}

function resumedSubscription(value: unknown): ResumedSubscription {
  const fields = object(value, "subscription");
  const { offset, error } = fields;
  return {
    id: id(fields),
    offset: offset === undefined ? undefined : whole(offset, "offset"),
    fault: error === undefined ? undefined : fault(object(error, "error")),
  };
}

function fault({ code, message, details }: Fields): Fault {
  return { code: string(code, "code"), message: typeof message === "string" ? message : "", details };
}
