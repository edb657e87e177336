/** Who is connected how: always in sight. */

import { useEffect, useState } from "react";
import type { ClientState } from "../src/client/api.ts";
import { useConnectionStatus } from "../src/react/index.ts";
import { clock } from "./format.ts";
import { readClaims, type Session, type Standing } from "./session.ts";

const WORDS: Readonly<Record<ClientState, string>> = {
  idle: "not connected",
  connecting: "connecting",
  open: "connected",
  waiting: "reconnecting",
  offline: "offline",
  unauthorized: "no valid token",
  closed: "disconnected",
};

interface HeaderProps {
  readonly session: Session;
  readonly standing: Standing;
  readonly version: string | undefined;
  /** Headings of what the page shows. */
  readonly sections: readonly string[];
}

export function Header({ session, standing, version, sections }: HeaderProps) {
  const { status, error } = useConnectionStatus();
  const claims = standing.token === null ? null : readClaims(standing.token);
  const open = status === "open";
  useTitle(WORDS[status]);
  return (
    <header>
      <h1>
        <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
          <path d="M3 12h4l2.5-7 5 14L17 12h4" />
        </svg>
        Tidings
        {version !== undefined && <small>{version}</small>}
      </h1>
      <p role="status" className="status">
        <span className={`state ${status}`}>{WORDS[status]}</span>
        {!open && error !== null && <span className="why">{error.message}</span>}
        {open && standing.pace !== null && <span className="state slow">reading slowly</span>}
      </p>
      {open && claims !== null && (
        <p className="quiet who">
          as <b>{claims.user}</b>
          {claims.expiresAt !== undefined && <>, token until {clock(claims.expiresAt * 1_000)}</>}
        </p>
      )}
      <nav aria-label="Sections">
        {sections.map((name) => (
          <a key={name} href={`#${name.toLowerCase()}`}>
            {name}
          </a>
        ))}
      </nav>
      {isStopped(status) && standing.token !== null && (
        <button type="button" onClick={() => session.reconnect()}>
          Reconnect
        </button>
      )}
      {!isStopped(status) && status !== "idle" && status !== "unauthorized" && (
        <button type="button" onClick={() => session.disconnect()}>
          Disconnect
        </button>
      )}
    </header>
  );
}

function isStopped(status: ClientState): boolean {
  return status === "closed" || status === "waiting";
}

/** A tab that is behind shows how things stand. */
function useTitle(words: string): void {
  const [title] = useState(document.title);
  useEffect(() => {
    document.title = words === WORDS.open ? title : `${title}: ${words}`;
  }, [title, words]);
}
