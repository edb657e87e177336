/**
 * What the clients of an origin that share a connection, the members of a group, say to the one who leads it, and it
 * to them. To a member the leader is a server: what the two exchange are PROTOCOL's own messages, over a link between
 * them. Members, links and lines are named in all that is said, so that nothing of an old one is taken for the new
 * one's.
 */

import type { ClientOptions } from "../client/api.ts";

/** Members of one group are interchangeable to the server: it would give each the same connection. */
export interface Group {
  /** Names the leader's lock and channel; with a slash and a member's id, that member's. */
  readonly name: string;
  /** Where the server is, and how to connect. */
  readonly url: string;
  readonly transport: NonNullable<ClientOptions["transport"]>;
}

/** What a member says. `link` counts its connections. */
export type FromMember =
  | { readonly type: "open"; readonly link: number; readonly token: string }
  | { readonly type: "send"; readonly link: number; readonly text: string }
  /** The member has sent what `welcome` made it send: a resume, where it has something to resume. */
  | { readonly type: "ready"; readonly link: number }
  /** So many characters of messages have been taken since the last such word. */
  | { readonly type: "took"; readonly link: number; readonly size: number }
  | { readonly type: "close"; readonly link: number }
  /** The member was invited and wants no connection at the moment. */
  | { readonly type: "pass" };

/** What the leader says to one. */
export type ToMember =
  /** There is another line: whoever has, had or waits for a connection comes over, with what to resume. */
  | { readonly type: "invite" }
  /** `leader` is the name of a lock that is held while this leader lives. */
  | { readonly type: "accepted"; readonly link: number; readonly leader: string }
  | { readonly type: "message"; readonly link: number; readonly text: string }
  | {
      readonly type: "closed";
      readonly link: number;
      readonly code?: number | undefined;
      readonly reason?: string | undefined;
      /** The member does not keep pace with the others: its next connection is its own. */
      readonly alone?: boolean;
    };

/** On the group's channel: who says it. */
export interface ToLeader {
  readonly member: string;
  readonly message: FromMember;
}

/** On a member's channel: of which connection to the server, by a random name. */
export interface FromLeader {
  readonly line: string;
  readonly message: ToMember;
}
