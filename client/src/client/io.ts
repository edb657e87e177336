/** What goes into a client's machine and what comes out of it. All of it can be copied into another thread. */

import type { TidingsError } from "../errors.ts";
import type { Delivery, Gap } from "../types.ts";
import type { ClientState, PublishedEvent } from "./api.ts";
import type { WireEvent } from "./messages.ts";
import type { Wanted } from "./subscriptions.ts";

/**
 * What the machine is told. What concerns the connection (`connected`, `message`, `closed`) is ignored from the
 * moment that it lets go of a connection until the next `open` has been polled.
 */
export type Input =
  /** Connect, and stay connected. In `unauthorized`, ask for a token again. */
  | { readonly type: "start" }
  /** Disconnect. Subscriptions and position stay, so a later start resumes. */
  | { readonly type: "stop" }
  | { readonly type: "message"; readonly text: string }
  /** The connection has ended, or did not open. */
  | { readonly type: "closed"; readonly code?: number | undefined; readonly reason?: string | undefined }
  /** The answer to `getToken`, exactly one for each; or an unasked token. `null`: there is none. */
  | { readonly type: "token"; readonly token: string | null }
  | { readonly type: "tokenFailed"; readonly cause: unknown }
  /** The user has logged out: the connection ends. */
  | { readonly type: "logout" }
  | { readonly type: "online" }
  | { readonly type: "offline" }
  /** The page has become visible, or the machine has woken: the connection may be dead unnoticed. */
  | { readonly type: "visible" }
  /** The deadline has come. */
  | { readonly type: "timeout" }
  | ({ readonly type: "subscribe" } & Wanted)
  | { readonly type: "unsubscribe"; readonly id: string }
  /** The event has an id. */
  | { readonly type: "publish"; readonly id: string; readonly event: unknown }
  /** Nobody waits for this publish any more. */
  | { readonly type: "cancel"; readonly id: string };

/** What the machine asks of its shell or tells the application. */
export type Output =
  | { readonly type: "getToken" }
  | { readonly type: "open"; readonly token: string }
  | { readonly type: "send"; readonly text: string }
  /** Close the connection and forget it. */
  | { readonly type: "close"; readonly code: number }
  | { readonly type: "state"; readonly state: ClientState; readonly error: TidingsError | null }
  /** A subscription has begun, with what it asked to begin with, oldest first. */
  | {
      readonly type: "subscribed";
      readonly subscription: string;
      readonly offset: number;
      readonly truncated: boolean;
      readonly recent: readonly Delivery<WireEvent>[];
    }
  | {
      readonly type: "event";
      readonly delivery: Delivery<WireEvent>;
      readonly subscriptions: readonly string[];
    }
  | { readonly type: "gap"; readonly gap: Gap }
  | { readonly type: "published"; readonly publish: string; readonly result: PublishedEvent }
  /** Something went wrong: with a subscription, which has ended by it, a publish, or the client. */
  | {
      readonly type: "error";
      readonly error: TidingsError;
      readonly subscription?: string;
      readonly publish?: string;
    };
