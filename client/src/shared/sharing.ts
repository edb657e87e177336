/**
 * How a client connects that shares its connection with other tabs: over whoever leads the group, as if that were the
 * server. It takes part from its first connection until it is stopped, stands for the lead itself, and goes its own
 * way where nothing of this can be had or where it does not keep pace with the others.
 */

import type { Connect, Connection, Receiver } from "../client/transport.ts";
import { groupName, sameness } from "./group.ts";
import { type Candidate, hold, lead, outlive, type Surroundings, stand } from "./lead.ts";
import type { FromLeader, FromMember, Group, ToLeader } from "./messages.ts";

/** How long a leader may take to accept a connection, in ms; one whose tab is frozen does not. */
const PATIENCE = 3_000;
/** How long it may take after a leader's end until the next one invites, in ms. */
const INVITATION = 1_000;
/** How long a worker may take to start, in ms. */
const WORKER_START = 5_000;
/** After how many characters the leader is told that they have been taken. */
const TOOK = 64 * 1024;

/** What a page has besides, and a worker has not. */
interface PageSurroundings extends Surroundings {
  readonly addEventListener?: typeof addEventListener | undefined;
  readonly document?: Document | undefined;
}

/** A connection of this client. */
interface Link {
  readonly number: number;
  readonly token: string;
  readonly receiver: Receiver;
  /** The leader's connection that carries it; none before it is accepted. */
  line: string | undefined;
  isGreeted: boolean;
  /** Characters that have been taken and not told of. */
  took: number;
  /** Whether it does not go over a leader, but over a connection of its own. */
  isAlone: boolean;
  own: Connection | undefined;
  impatience: ReturnType<typeof setTimeout> | undefined;
}

/** Part in a group, under an id that is never used again. */
interface Membership {
  readonly candidate: Candidate;
  readonly member: string;
  /** Ends it. */
  readonly end: AbortController;
  /** Settled once the leader can see that this member lives. */
  readonly joined: Promise<void>;
  /** Settled once somebody stands for the lead. */
  readonly stands: Promise<void>;
  readonly leader: BroadcastChannel;
  /** The lock of the leader that is known to live. */
  watched?: string;
}

export class Sharing {
  readonly #url: string;
  readonly #transport: Group["transport"];
  readonly #connect: Connect;
  readonly #renew: () => boolean;
  readonly #surroundings: PageSurroundings;
  #membership: Membership | undefined;
  #link: Link | undefined;
  #links = 0;
  /** Whether the next connection is its own. */
  #isAlone = false;

  /**
   * `connect` connects to the server itself; `renew` has the machine connect anew at once, and tells whether it wants
   * a connection.
   */
  constructor(
    url: string,
    transport: Group["transport"] | undefined,
    connect: Connect,
    renew: () => boolean,
  ) {
    this.#url = url;
    this.#transport = transport ?? "auto";
    this.#connect = connect;
    this.#renew = renew;
    const { navigator, BroadcastChannel, addEventListener, document } = globalThis as PageSurroundings;
    this.#surroundings = { navigator, BroadcastChannel, addEventListener, document };
  }

  readonly open: Connect = async (token, receiver) => {
    const link: Link = {
      number: this.#links++,
      token,
      receiver,
      line: undefined,
      isGreeted: false,
      took: 0,
      isAlone: false,
      own: undefined,
      impatience: undefined,
    };
    this.#link = link;
    this.#come(link).catch(() => this.#goAlone(link));
    return { send: (text) => this.#send(link, text), close: () => this.#close(link) };
  };

  /** Takes part no more, until the next connection: another leads, where this did. */
  leave(): void {
    this.#membership?.end.abort();
    this.#membership = undefined;
  }

  async #come(link: Link): Promise<void> {
    const { navigator, BroadcastChannel } = this.#surroundings;
    // What this takes is not everywhere, as on pages over `http:`.
    if (!navigator?.locks || !BroadcastChannel) throw new Error("there is nothing to share with");
    const name = await groupName(this.#url, this.#transport, sameness(link.token));
    if (this.#link !== link) return;
    if (this.#isAlone) {
      this.#isAlone = false;
      this.#goAlone(link);
      return;
    }
    if (this.#membership?.candidate.name !== name) {
      this.leave();
      this.#membership = this.#join(name);
    }
    const { candidate, end, joined, stands } = this.#membership;
    const isWanted = () => this.#link === link && !end.signal.aborted;
    await joined;
    if (isWanted()) this.#ask(link);
    await stands;
    const steal = () => lead(candidate, end.signal, { steal: true });
    if (isWanted() && !link.line) link.impatience = setTimeout(steal, PATIENCE);
  }

  #goAlone(link: Link): void {
    if (this.#link !== link) return;
    this.leave();
    link.isAlone = true;
    this.#connect(link.token, link.receiver).then(
      (own) => {
        if (this.#link === link) link.own = own;
        else own.close();
      },
      (error: unknown) => link.receiver.closed(undefined, `${error}`),
    );
  }

  #join(name: string): Membership {
    const { BroadcastChannel, navigator } = this.#surroundings;
    const member = crypto.randomUUID();
    const end = new AbortController();
    const leader = new BroadcastChannel(name);
    const inbox = new BroadcastChannel(`${name}/${member}`);
    inbox.onmessage = ({ data }) => this.#hear(data as FromLeader);
    end.signal.addEventListener("abort", () => {
      leader.close();
      inbox.close();
    });
    const candidate = { name, connect: this.#connect, surroundings: this.#surroundings };
    const joined = hold(navigator.locks, `${name}/${member}`, end.signal);
    // A worker goes first, since no tab takes it along when it is closed.
    const stands = joined.then(() => this.#startWorker({ name, url: this.#url, transport: this.#transport }));
    stands.then(
      () => stand(candidate, end.signal),
      () => {},
    );
    this.#mindPage(end.signal);
    return { candidate, member, end, joined, stands, leader };
  }

  /** Settled once a worker stands for the lead, or cannot. */
  #startWorker(group: Group): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, WORKER_START);
      try {
        // Bundlers know just these words, and make a file of the worker. Where there are none, this throws.
        const worker = new SharedWorker(new URL("./worker.js", import.meta.url), {
          type: "module",
          name: "tidings",
        });
        worker.addEventListener("error", () => resolve());
        worker.port.onmessage = () => resolve();
        worker.port.postMessage(group);
      } catch {
        resolve();
      }
    });
  }

  /** A page that is put away gives up what would keep it from that, and comes back with what to resume. */
  #mindPage(signal: AbortSignal): void {
    const { addEventListener, document } = this.#surroundings;
    const putAway = () => {
      this.leave();
      const back = new AbortController();
      const comeBack = () => {
        back.abort();
        this.#renew();
      };
      addEventListener?.("pageshow", comeBack, { signal: back.signal });
      document?.addEventListener("resume", comeBack, { signal: back.signal });
    };
    addEventListener?.("pagehide", putAway, { signal });
    document?.addEventListener("freeze", putAway, { signal });
  }

  // To and from the leader

  #hear({ line, message }: FromLeader): void {
    if (message.type === "invite") {
      this.#invited(line);
      return;
    }
    const link = this.#link;
    if (link?.number !== message.link || link.isAlone) return;
    if (message.type === "accepted") {
      this.#accepted(link, line, message.leader);
    } else if (link.line === line) {
      if (message.type === "message") {
        this.#receive(link, message.text);
      } else {
        this.#link = undefined;
        this.#isAlone = message.alone === true;
        link.receiver.closed(message.code, message.reason);
      }
    }
  }

  #accepted(link: Link, line: string, leader: string): void {
    link.line ??= line;
    clearTimeout(link.impatience);
    const membership = this.#membership;
    if (!membership || membership.watched === leader) return;
    membership.watched = leader;
    // The next one invites. Where that is frozen, this client must ask by itself, and take the lead in the end.
    outlive(this.#surroundings.navigator.locks, leader, membership.end.signal, () => {
      const orphan = this.#link;
      const look = () => {
        if (orphan?.line && this.#link === orphan) this.#renew();
      };
      setTimeout(look, INVITATION);
    });
  }

  /** A line is new: what was of another one is over, or waits for the same. */
  #invited(line: string): void {
    const link = this.#link;
    if (link?.line === line) return;
    if (link && !link.line && !link.isAlone) {
      this.#ask(link);
      return;
    }
    // What comes over asks by itself, in a moment.
    if (link?.isAlone || !this.#renew()) this.#post({ type: "pass" });
  }

  #ask({ number, token }: Link): void {
    this.#post({ type: "open", link: number, token });
  }

  #receive(link: Link, text: string): void {
    link.took += text.length;
    if (TOOK <= link.took) {
      this.#post({ type: "took", link: link.number, size: link.took });
      link.took = 0;
    }
    link.receiver.message(text);
    // Behind what that made the machine send.
    if (!link.isGreeted) this.#post({ type: "ready", link: link.number });
    link.isGreeted = true;
  }

  #send(link: Link, text: string): void {
    if (link.isAlone) {
      link.own?.send(text);
      return;
    }
    const { type, token } = JSON.parse(text) as { readonly type: string; readonly token: string };
    if (type === "auth" && sameness(token) !== sameness(link.token)) {
      // Whose token says something else is of another group from here on.
      queueMicrotask(this.#renew);
    } else {
      this.#post({ type: "send", link: link.number, text });
    }
  }

  #close(link: Link): void {
    clearTimeout(link.impatience);
    if (link.isAlone) link.own?.close();
    else this.#post({ type: "close", link: link.number });
    if (this.#link === link) this.#link = undefined;
  }

  #post(message: FromMember): void {
    if (!this.#membership) return;
    const { leader, member } = this.#membership;
    leader.postMessage({ member, message } satisfies ToLeader);
  }
}
