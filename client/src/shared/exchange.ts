/**
 * What the leader of a group runs: it knows who is there, and that there is one line to the server at a time. It is
 * thrown away with the leader and keeps nothing that the next one needs, since each member knows its own position.
 */

import type { Connect } from "../client/transport.ts";
import { Line } from "./line.ts";
import type { FromMember, ToMember } from "./messages.ts";

/** What the leader's tab or worker does for it. */
export interface Outside {
  /** The name of a lock that is held while this leader lives. */
  readonly leader: string;
  readonly connect: Connect;
  tell(member: string, line: string, message: ToMember): void;
  /** Calls `gone` when the member lives no more, however that came. */
  watch(member: string, gone: () => void): void;
}

export class Exchange {
  readonly #outside: Outside;
  readonly #members = new Set<string>();
  #line: Line | undefined;

  /** Begins with those who were there before, who may have something to resume. */
  constructor(outside: Outside, members: Iterable<string>) {
    this.#outside = outside;
    for (const member of members) this.#add(member);
    this.#begin();
  }

  handle(member: string, message: FromMember): void {
    this.#add(member);
    // Whoever waits to connect again need not wait longer than another: what all resume is asked for at once.
    if (message.type === "open" && !this.#line) this.#begin();
    this.#line?.handle(member, message);
  }

  close(): void {
    this.#line?.close();
    this.#line = undefined;
  }

  #begin(): void {
    const line = new Line(this.#outside, this.#members, (anew) => {
      if (this.#line !== line) return;
      this.close();
      if (anew) this.#begin();
    });
    this.#line = line;
  }

  #add(member: string): void {
    if (this.#members.has(member)) return;
    this.#members.add(member);
    this.#outside.watch(member, () => {
      this.#members.delete(member);
      this.#line?.gone(member);
    });
  }
}
