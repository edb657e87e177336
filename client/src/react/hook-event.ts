/** The form that an event has in a hook: the CloudEvent, with the fields of its data readable at the top as well. */

import type { CloudEvent, TidingsEvent } from "../types.ts";

type DataOf<E> = E extends CloudEvent<string, infer D> ? D : never;
type KeysOf<T> = T extends unknown ? keyof T : never;
type Flat<E, Key extends PropertyKey> =
  E extends CloudEvent<string, infer D>
    ? E &
        Omit<D, keyof CloudEvent> & {
          readonly [K in Exclude<Key, keyof D | keyof CloudEvent>]?: undefined;
        }
    : never;

/**
 * An event whose data's fields can be read at the top too, as in `event.message`; a name that is one of the
 * envelope's, as `type`, is the envelope's, and `event.data.type` is the data's. A field that only some of the
 * possible types have is `undefined` in the others.
 */
export type HookEvent<E = TidingsEvent> = Flat<E, KeysOf<DataOf<E>>>;

/** The names of the envelope that an event may go without. They are the envelope's all the same. */
const ABSENT = { subject: undefined, datacontenttype: undefined };

export function hookEvent<E extends CloudEvent<string, unknown>>(event: E): HookEvent<E> {
  return { ...(event.data as object), ...ABSENT, ...event } as unknown as HookEvent<E>;
}
