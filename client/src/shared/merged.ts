/**
 * The subscriptions of all members as the server knows them: equal ones are one, and each member sees only what is
 * above its own beginning.
 *
 * The server is asked for each by itself, so that it has its own beginning and its own `recent`; where an equal one
 * lives already, its member joins that and the new one is let go.
 */

import { matches, type Routed, type WireFilter } from "../client/matching.ts";

/** What a subscription wants. */
export interface Wanted {
  readonly events: readonly string[];
  readonly filter?: WireFilter | undefined;
}

/** A member's subscription, under the id that the member gave it. */
export interface Handle<Owner> {
  readonly owner: Owner;
  readonly id: string;
  /** It sees what is above. */
  above: number;
}

/** A subscription of the server. */
interface Wire<Owner> {
  readonly id: string;
  /** Equal for what lets through the same. */
  readonly key: string;
  readonly wanted: Wanted;
  /** Where it began; nothing before the server has said so. */
  from: number | undefined;
  handles: Handle<Owner>[];
}

export class Merged<Owner> {
  #wires: Wire<Owner>[] = [];
  #next = 0;

  /** Takes a new subscription: the id under which the server is to be asked for it. */
  ask(owner: Owner, id: string, wanted: Wanted): string {
    return this.#add(owner, id, wanted, undefined).id;
  }

  /** The server has begun what it was asked for: those whom it is for, and the id of one that nobody needs. */
  begun(id: string, offset: number): { handles: readonly Handle<Owner>[]; unwanted: string | undefined } {
    const wire = this.#wires.find((one) => one.id === id && one.from === undefined);
    if (!wire) return { handles: [], unwanted: undefined };
    const { handles } = wire;
    for (const handle of handles) handle.above = offset;
    const twin = this.#wires.find((one) => one.key === wire.key && one.from !== undefined);
    wire.from = offset;
    if (handles.length !== 0 && !twin) return { handles, unwanted: undefined };
    twin?.handles.push(...handles);
    this.#wires = this.#wires.filter((one) => one !== wire);
    return { handles, unwanted: id };
  }

  /** Takes a subscription that began on another connection. */
  restore(owner: Owner, id: string, wanted: Wanted, from: number): void {
    const key = keyOf(wanted);
    let wire = this.#wires.find((one) => one.key === key && one.from !== undefined);
    if (wire?.from === undefined) wire = this.#add(owner, id, wanted, from);
    else {
      wire.from = Math.min(wire.from, from);
      wire.handles.push({ owner, id, above: from });
    }
  }

  /** What a resume takes along. */
  entries(): object[] {
    const begun = this.#wires.filter(({ from }) => from !== undefined);
    return begun.map(({ id, from, wanted }) => ({ id, from, ...wanted }));
  }

  /** The server has taken over what a resume told it, from `offset` on. `anew` where offsets have begun anew. */
  resumed(id: string, offset: number, anew: boolean): readonly Handle<Owner>[] {
    const wire = this.#wires.find((one) => one.id === id);
    if (!wire) return [];
    wire.from = offset;
    for (const handle of wire.handles) handle.above = anew ? offset : Math.max(handle.above, offset);
    return wire.handles;
  }

  /** The server has refused or ended one: those whom it was for. */
  ended(id: string): readonly Handle<Owner>[] {
    const wire = this.#wires.find((one) => one.id === id);
    this.#wires = this.#wires.filter((one) => one !== wire);
    return wire?.handles ?? [];
  }

  /** A member lets go of one, or of all: the ids that the server is to be asked to end. */
  release(owner: Owner, id?: string): string[] {
    const unwanted: string[] = [];
    for (const wire of this.#wires) {
      const others = wire.handles.filter((one) => one.owner !== owner || (id !== undefined && one.id !== id));
      if (others.length === wire.handles.length) continue;
      wire.handles = others;
      // One that the server has not begun is let go when it has.
      if (others.length === 0 && wire.from !== undefined) unwanted.push(wire.id);
    }
    this.#wires = this.#wires.filter((wire) => !unwanted.includes(wire.id));
    return unwanted;
  }

  /** The members that may miss something. */
  owners(): Set<Owner> {
    return new Set(this.#wires.flatMap(({ handles }) => handles.map(({ owner }) => owner)));
  }

  /** The members whom an event is for. */
  recipients(offset: number, event: Routed): Set<Owner> {
    const wires = this.#wires.filter((wire) => wire.from !== undefined && sees(wire.wanted, event));
    const handles = wires.flatMap((wire) => wire.handles.filter(({ above }) => above < offset));
    return new Set(handles.map(({ owner }) => owner));
  }

  #add(owner: Owner, id: string, wanted: Wanted, from: number | undefined): Wire<Owner> {
    const handles = [{ owner, id, above: from ?? 0 }];
    const { events, filter } = wanted;
    const wire = {
      id: `s${this.#next++}`,
      key: keyOf(wanted),
      wanted: { events, filter },
      from,
      handles,
    };
    this.#wires.push(wire);
    return wire;
  }
}

function sees({ events, filter = {} }: Wanted, event: Routed): boolean {
  return matches(events, filter, event);
}

/** The order of patterns, of paths and of a path's values means nothing, and a value alone is one of one. */
function keyOf({ events, filter = {} }: Wanted): string {
  const paths = Object.entries(filter).map(([path, value]) => {
    const values = [value].flat().map((one) => JSON.stringify(one));
    return [path, values.sort()];
  });
  return JSON.stringify([[...new Set(events)].sort(), paths.sort()]);
}
