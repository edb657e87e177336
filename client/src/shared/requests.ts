/** What a member's machine sends to its server, as far as one in between must know it (PROTOCOL §3). */

import type { WireFilter } from "../client/matching.ts";
import type { Position } from "../types.ts";

interface Wanted {
  readonly id: string;
  readonly events: readonly string[];
  readonly filter?: WireFilter;
}

export interface Requests {
  readonly subscribe: Wanted & { readonly recent?: number };
  readonly resume: {
    readonly id: string;
    readonly since: Position;
    readonly subscriptions: readonly (Wanted & { readonly from: number })[];
  };
  readonly unsubscribe: { readonly id: string };
  readonly publish: { readonly id: string; readonly event: unknown };
  readonly auth: { readonly id: string; readonly token: string };
  readonly ping: object;
}

export type Request = { [T in keyof Requests]: { readonly type: T } & Requests[T] }[keyof Requests];
