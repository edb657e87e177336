/** The events that are not published yet, oldest first: those that wait, and those of the request under way. Bounded. */

import type { Emission } from "./emission.ts";

export class Queue {
  readonly #eventsMax: number;
  readonly #bytesMax: number;
  readonly #waiting = new Set<Emission>();
  readonly #underWay = new Set<Emission>();
  #bytes = 0;
  #bytesUnderWay = 0;

  constructor(eventsMax: number, bytesMax: number) {
    this.#eventsMax = eventsMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#waiting.size + this.#underWay.size;
  }

  /** All of them, oldest first. */
  all(): Emission[] {
    return [...this.#underWay, ...this.#waiting];
  }

  /** Whether there is room for an event of so many bytes. */
  fits(bytes: number): boolean {
    return this.size < this.#eventsMax && this.#bytes + bytes <= this.#bytesMax;
  }

  /** Whether there would be, were it not for those that wait. */
  admits(bytes: number): boolean {
    return this.#underWay.size < this.#eventsMax && this.#bytesUnderWay + bytes <= this.#bytesMax;
  }

  /** The one that has waited longest. */
  oldest(): Emission | undefined {
    return this.#waiting.values().next().value;
  }

  add(emission: Emission): void {
    this.#waiting.add(emission);
    this.#bytes += emission.bytes;
  }

  /** Takes the oldest for a request: so many events and bytes at most, but one in any case. None where none waits. */
  take(eventsMax: number, bytesMax: number): Emission[] {
    const batch: Emission[] = [];
    let bytes = 0;
    for (const emission of this.#waiting) {
      bytes += emission.bytes;
      if (0 < batch.length && (batch.length === eventsMax || bytesMax < bytes)) break;
      batch.push(emission);
    }
    for (const emission of batch) {
      this.#waiting.delete(emission);
      this.#underWay.add(emission);
      this.#bytesUnderWay += emission.bytes;
    }
    return batch;
  }

  has(emission: Emission): boolean {
    return this.#underWay.has(emission) || this.#waiting.has(emission);
  }

  /** Whether it was there. */
  delete(emission: Emission): boolean {
    const wasUnderWay = this.#underWay.delete(emission);
    const found = wasUnderWay || this.#waiting.delete(emission);
    if (wasUnderWay) this.#bytesUnderWay -= emission.bytes;
    if (found) this.#bytes -= emission.bytes;
    return found;
  }
}
