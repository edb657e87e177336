/**
 * Shows priorities at work: the page reads slowly, events pile up in its lanes at the server, and a critical one comes
 * before all of them. A browser cannot stop reading a WebSocket, so the page asks the server for a pace; what waits
 * then waits in the server's own queues and history, as it does for any slow consumer, and that is what is shown.
 */

import { useCallback, useId, useState, useSyncExternalStore } from "react";
import { useConnectionStatus } from "../src/react/index.ts";
import type { Api, ConnectionRow, Lag } from "./api.ts";
import { burst } from "./examples.ts";
import type { FeedList } from "./feed-list.ts";
import { count, counted } from "./format.ts";
import { usePolled } from "./hooks.ts";
import { LANES } from "./lanes.ts";
import type { EventForm } from "./schema.ts";
import { type Session, SLOW_PACE, type Standing } from "./session.ts";

/** How often what waits is looked at, in ms. */
const BACKLOG_EVERY = 500;
/** Events of a burst: more than the queues of the lanes hold, so that some wait in history. */
const BURST = 800;

interface PrioritiesProps {
  readonly session: Session;
  readonly standing: Standing;
  readonly api: Api;
  readonly forms: readonly EventForm[];
  readonly list: FeedList;
}

export function Priorities({ session, standing, api, forms, list }: PrioritiesProps) {
  const id = useId();
  const slow = standing.pace !== null;
  return (
    <div className={slow ? "priorities slow" : "priorities"}>
      <div className="bar">
        <label className="switch">
          <input
            type="checkbox"
            role="switch"
            aria-checked={slow}
            checked={slow}
            aria-describedby={`${id}-what`}
            onChange={(changed) => session.setPace(changed.currentTarget.checked ? SLOW_PACE : null)}
          />
          <span>Read slowly</span>
        </label>
        <p id={`${id}-what`} className="quiet">
          {slow
            ? SLOWLY
            : "See priorities work: read as over a slow line, and let a critical event overtake what waits."}
        </p>
      </div>
      {slow && <Trial api={api} forms={forms} list={list} />}
      {slow && <Backlog api={api} connection={standing.connection} />}
    </div>
  );
}

const SLOWLY = `The server hands this page ${SLOW_PACE / 1_024} kB of events a second. What comes faster waits in its lanes, where a critical event goes first.`;

/** Publishes what is to wait, and what is to overtake it. */
function Trial({ api, forms, list }: Pick<PrioritiesProps, "api" | "forms" | "list">) {
  const { isConnected } = useConnectionStatus();
  const [said, setSaid] = useState("");
  const [offset, setOffset] = useState<number | null>(null);
  const { rows } = useSyncExternalStore(list.subscribe, list.get);
  const arrived = rows.find((row) => "delivery" in row && row.delivery.offset === offset);
  const overtook = arrived !== undefined && "overtook" in arrived ? arrived.overtook : 0;
  const publish = async (of: (form: EventForm) => boolean, times: number) => {
    setOffset(null);
    try {
      const results = await api.publish(burst(forms.filter(of), times));
      if (times === 1) setOffset(results[0]?.offset ?? null);
      else setSaid(`${count(times)} events are published.`);
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error));
    }
  };
  const disabled = forms.length === 0 || !isConnected;
  return (
    <div className="bar">
      <button type="button" disabled={disabled} onClick={() => publish(isOrdinary, BURST)}>
        Publish {BURST} events
      </button>
      <button type="button" disabled={disabled} onClick={() => publish(isCritical, 1)}>
        Publish a critical one
      </button>
      <p className="quiet">
        <span role="status">
          {offset === null ? said : `#${offset} ${arrived === undefined ? "is published" : "has arrived"}.`}
        </span>{" "}
        {0 < overtook && `It has overtaken ${counted(overtook, "event")} that came after it so far.`}
      </p>
    </div>
  );
}

function isOrdinary({ priority }: EventForm): boolean {
  return priority !== "critical";
}

function isCritical({ type }: EventForm): boolean {
  return type === "system.error";
}

/** What waits at the server for this page, by lane. */
function Backlog({ api, connection }: { readonly api: Api; readonly connection: string | null }) {
  const load = useCallback(
    (signal: AbortSignal) => api.connections({ connection: connection ?? "" }, signal),
    [api, connection],
  );
  const { value, error } = usePolled(connection === null ? null : load, BACKLOG_EVERY);
  const row: ConnectionRow | undefined = value?.connections[0];
  if (error !== null) return <p className="quiet">What waits can be shown to administrators only.</p>;
  const depth = (lag: Lag | undefined) => (lag === undefined ? 0 : lag.queued + lag.catchUp);
  const part = (events = 0) => `${(100 * events) / most}%`;
  const most = Math.max(1, ...LANES.map((lane) => depth(row?.lanes[lane])));
  return (
    <ul className="backlog" aria-label="Waiting at the server for this page">
      {LANES.map((lane) => {
        const lag = row?.lanes[lane];
        return (
          <li key={lane} className={lane}>
            <span className="lane">{lane}</span>
            <span className="track" aria-hidden="true">
              <span className="fill" style={{ width: part(lag?.queued) }} />
              <span className="fill history" style={{ width: part(lag?.catchUp) }} />
            </span>
            <span className="quiet">
              <b>{count(depth(lag))}</b> waiting
              {lag !== undefined && 0 < lag.catchUp && `, ${count(lag.catchUp)} of them in history`}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
