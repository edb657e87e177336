/**
 * `tidings/emitter`: publishes events from a Node back end.
 *
 * ```ts
 * import { getEventEmitter } from "tidings/emitter";
 *
 * await getEventEmitter().emitContentUpdated({
 *   contentId: "p1", title: "Hello", type: "blog", status: "published", authorId: "u1", updatedAt: new Date(),
 * });
 * ```
 */

import type { EmitterOptions } from "./api.ts";
import { TidingsEmitter } from "./emitter.ts";
import { settingsOf } from "./settings.ts";

export type { PublishedEvent } from "../client/api.ts";
export { TidingsError, type TidingsErrorCode } from "../errors.ts";
export type * from "../generated/events.ts";
export type { EventType, Priority } from "../types.ts";
export type {
  CheckedBatch,
  EmitEvent,
  EmitOptions,
  EmitterOptions,
  EventInput,
  Fault,
  ServerStats,
} from "./api.ts";
export type { TidingsEmitter };

/** Makes an emitter. Throws a `TidingsError` where address or key are missing, or can never work. */
export function createEventEmitter(options: EmitterOptions = {}): TidingsEmitter {
  return new TidingsEmitter(settingsOf(options));
}

/** Where the emitter of the process is kept: a module that is loaded twice, as on hot reload, finds the same. */
const KEY = Symbol.for("tidings.emitter");
const shared: typeof globalThis & { [KEY]?: TidingsEmitter } = globalThis;

/**
 * The emitter of this process. The first call makes it, from its options and the environment (`TIDINGS_URL`,
 * `TIDINGS_API_KEY`), later ones return it whatever their options; one that was closed is made anew.
 */
export function getEventEmitter(options?: EmitterOptions): TidingsEmitter {
  const known = shared[KEY];
  if (known !== undefined && !known.closed) return known;
  const made = createEventEmitter(options);
  shared[KEY] = made;
  return made;
}
