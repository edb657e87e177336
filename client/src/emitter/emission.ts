/**
 * One event on its way: its JSON, written once so that a repeat is byte for byte what was sent before, and the
 * promise of its publisher, which settles once.
 */

import type { PublishedEvent } from "../client/api.ts";
import { TidingsError } from "../errors.ts";
import type { EmitEvent, Fault } from "./api.ts";
import { faultsOf } from "./validate.ts";
import { quiet } from "./wait.ts";

export class Emission {
  readonly type: string;
  /** The event as it is sent. */
  readonly text: string;
  /** When it is given up, in ms of the monotonic clock. */
  readonly deadline: number;
  readonly bytes: number;
  readonly published: Promise<PublishedEvent>;
  #settled = false;
  #resolve: (result: PublishedEvent) => void = () => {};
  #reject: (error: TidingsError) => void = () => {};

  constructor(type: string, text: string, deadline: number) {
    this.type = type;
    this.text = text;
    this.deadline = deadline;
    this.bytes = Buffer.byteLength(text);
    this.published = quiet(
      new Promise((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
      }),
    );
  }

  /** Settles the promise. The first outcome counts; says whether this is it. */
  settle(outcome: PublishedEvent | TidingsError): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    if (outcome instanceof TidingsError) this.#reject(outcome);
    else this.#resolve(outcome);
    return true;
  }

  /** The event, for who is told that it was not published. */
  read(): EmitEvent {
    return JSON.parse(this.text);
  }
}

/** An event as JSON, or what is wrong with it. */
export function write(event: EmitEvent, source: string | undefined): string | Fault[] {
  if (typeof event !== "object" || event === null) return [{ path: "$", message: "must be an object" }];
  const { type, data, id, subject, time, priority } = event;
  const written = {
    id: id ?? crypto.randomUUID(),
    source: event.source ?? source,
    type,
    subject,
    // An `id` of the publisher's own may come again, and then with the same content.
    time: time ?? (id === undefined ? new Date() : undefined),
    priority,
    data,
  };
  try {
    const faults = faultsOf(written);
    return 0 < faults.length ? faults : JSON.stringify(written);
  } catch (error) {
    // A cycle, a BigInt, or a `toJSON` that throws.
    const reason = error instanceof Error ? error.message : String(error);
    return [{ path: "$.data", message: `cannot be written as JSON: ${reason}` }];
  }
}
