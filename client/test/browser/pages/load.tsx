/**
 * A page under load: a list of a hundred rows, a wall of other components that read the same events, and
 * renders that React is in the middle of when events come. It counts what it does.
 */

import { startTransition, useEffect, useLayoutEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { TidingsProvider, useContentEvents, useWebSocket } from "../../../src/react/index.ts";

/** What the test reads. */
export interface Load {
  received: number;
  frames: number;
  /** Commits of the list. */
  commits: number;
  /** Commits in which two components showed different newest events. */
  torn: number;
  /** Times that events were shown while a render was under way. */
  interrupted: number;
}

declare global {
  var load: Load;
}

globalThis.load = {
  received: 0,
  frames: 0,
  commits: 0,
  torn: 0,
  interrupted: 0,
};

const query = new URLSearchParams(location.search);
const COMPONENTS = Number(query.get("components"));
const countFrame = () => {
  load.frames += 1;
  requestAnimationFrame(countFrame);
};
requestAnimationFrame(countFrame);

function List() {
  const { events, isConnected } = useContentEvents({
    limit: 100,
    onEvent: () => {
      load.received += 1;
    },
  });
  useLayoutEffect(() => {
    load.commits += 1;
  });
  return (
    <>
      <p>{isConnected ? "connected" : "not connected"}</p>
      <ol>
        {events.map(({ id, contentId, title, status }) => (
          <li key={id}>
            {contentId} <b>{title}</b> {status}
          </li>
        ))}
      </ol>
    </>
  );
}

/** Takes its time, so that React pauses between one and the next. */
function Newest({ round, started }: { round: number; started: { commits: number } }) {
  const { lastEvent } = useContentEvents({ limit: 1 });
  const until = performance.now() + 1;
  while (performance.now() < until);
  if (round > 0 && started.commits !== load.commits) load.interrupted += 1;
  return <i>{lastEvent?.contentId}</i>;
}

function Wall() {
  const [round, setRound] = useState(0);
  const started = useRef({ commits: 0 });
  const wall = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const timer = setInterval(() => {
      started.current.commits = load.commits;
      startTransition(() => setRound((before) => before + 1));
    }, 50);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    const observer = new MutationObserver(() => {
      const shown = new Set(Array.from(wall.current?.children ?? [], ({ textContent }) => textContent));
      if (shown.size > 1) load.torn += 1;
    });
    observer.observe(wall.current as Node, { childList: true, characterData: true, subtree: true });
    return () => observer.disconnect();
  }, []);
  return (
    <div ref={wall}>
      {Array.from({ length: COMPONENTS }, (_, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike and stay where they are.
        <Newest key={at} round={round} started={started.current} />
      ))}
    </div>
  );
}

function Page() {
  useWebSocket({ token: query.get("token") });
  return (
    <>
      <List />
      {COMPONENTS > 0 && <Wall />}
    </>
  );
}

createRoot(document.querySelector("#root") as HTMLElement).render(
  <TidingsProvider>
    <Page />
  </TidingsProvider>,
);
