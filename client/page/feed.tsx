/** Events as they come: chosen by types and filter at the server, searched and held still here. */

import { type SubmitEvent, useEffect, useId, useMemo, useState, useSyncExternalStore } from "react";
import { nextFrame } from "../src/react/frames.ts";
import { useConnectionStatus, useEvents } from "../src/react/index.ts";
import type { Filter, Lane } from "../src/types.ts";
import type { Api } from "./api.ts";
import { type AnyDelivery, FeedList, type Row, shows } from "./feed-list.ts";
import { FeedRow } from "./feed-row.tsx";
import { count } from "./format.ts";
import { readFilter, readTypes } from "./interest.ts";
import { LANES } from "./lanes.ts";
import { Priorities } from "./priorities.tsx";
import type { EventForm } from "./schema.ts";
import type { Session, Standing } from "./session.ts";

/** Events from before that the feed begins with. */
const RECENT = 50;

interface Interest {
  readonly types: readonly string[];
  readonly filter: Filter;
}

interface FeedProps {
  readonly session: Session;
  readonly standing: Standing;
  readonly api: Api;
  readonly forms: readonly EventForm[];
}

export function FeedPanel({ session, standing, api, forms }: FeedProps) {
  const [list] = useState(() => new FeedList(nextFrame));
  const [interest, setInterest] = useState<Interest>({ types: ["*"], filter: {} });
  const onEvent = useMemo(() => (_: unknown, delivery: unknown) => list.add(delivery as AnyDelivery), [list]);
  const { filter } = interest;
  const { error } = useEvents(interest.types, { filter, recent: RECENT, limit: 1, onEvent });
  useEffect(() => session.client.on("gap", list.addGap), [session, list]);
  const { status } = useConnectionStatus();
  const apply = (next: Interest) => {
    list.clear();
    setInterest(next);
  };
  return (
    <section className="card feed" id="feed" aria-labelledby="feed-title">
      <h2 id="feed-title">Feed</h2>
      <InterestForm
        forms={forms}
        apply={apply}
        refused={status === "open" ? (error?.message ?? null) : null}
      />
      <Priorities session={session} standing={standing} api={api} forms={forms} list={list} />
      <List list={list} isConnected={status === "open"} />
    </section>
  );
}

interface InterestProps {
  readonly forms: readonly EventForm[];
  readonly apply: (interest: Interest) => void;
  /** Why the server did not take it. */
  readonly refused: string | null;
}

function InterestForm({ forms, apply, refused }: InterestProps) {
  const [types, setTypes] = useState("*");
  const [filter, setFilter] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const id = useId();
  const submit = (submitted: SubmitEvent) => {
    submitted.preventDefault();
    try {
      apply({ types: readTypes(types), filter: readFilter(filter) });
      setFault(null);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  };
  const categories = [...new Set(forms.map(({ type }) => `${type.split(".")[0]}.*`))];
  return (
    <form className="interest" onSubmit={submit} autoComplete="off">
      <div className="field">
        <label htmlFor={`${id}-types`}>Events</label>
        <input
          id={`${id}-types`}
          list={`${id}-known`}
          value={types}
          spellCheck={false}
          autoCapitalize="none"
          placeholder="content.* settings.updated"
          aria-describedby={`${id}-fault`}
          onChange={(changed) => setTypes(changed.currentTarget.value)}
        />
        <datalist id={`${id}-known`}>
          {["*", ...categories, ...forms.map(({ type }) => type)].map((type) => (
            <option key={type} value={type} />
          ))}
        </datalist>
      </div>
      <div className="field">
        <label htmlFor={`${id}-filter`}>Filter</label>
        <input
          id={`${id}-filter`}
          value={filter}
          spellCheck={false}
          autoCapitalize="none"
          placeholder="status=published authorId=u1, or JSON"
          aria-describedby={`${id}-fault`}
          onChange={(changed) => setFilter(changed.currentTarget.value)}
        />
      </div>
      <button type="submit">Apply</button>
      <p id={`${id}-fault`} className="fault" role="alert">
        {fault ?? refused}
      </p>
    </form>
  );
}

function List({ list, isConnected }: { readonly list: FeedList; readonly isConnected: boolean }) {
  const feed = useSyncExternalStore(list.subscribe, list.get);
  const [search, setSearch] = useState("");
  const [lanes, setLanes] = useState<ReadonlySet<Lane>>(() => new Set(LANES));
  const words = search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const rows = feed.rows.filter((row) => shows(row, words, lanes));
  const paused = feed.still === "paused";
  const toggle = (lane: Lane) =>
    setLanes(
      (lanes) => new Set(LANES.filter((other) => (other === lane ? !lanes.has(lane) : lanes.has(other)))),
    );
  return (
    <>
      <div className="bar">
        <fieldset className="lanes">
          <legend className="hidden">Lanes that are shown</legend>
          {LANES.map((lane) => (
            <label key={lane} className={lane}>
              <input type="checkbox" checked={lanes.has(lane)} onChange={() => toggle(lane)} />
              <span>
                {lane} <b>{count(feed.received[lane])}</b>
              </span>
            </label>
          ))}
        </fieldset>
        <input
          type="search"
          aria-label="Search in the feed"
          placeholder="Search"
          value={search}
          onChange={(changed) => setSearch(changed.currentTarget.value)}
        />
        <button type="button" aria-pressed={paused} onClick={() => list.setPaused(!paused)}>
          {paused ? "Continue" : "Pause"}
        </button>
        <button type="button" onClick={list.clear}>
          Clear
        </button>
      </div>
      <p className="quiet held">
        {feed.still !== null &&
          (paused || 0 < feed.held) &&
          `${STILL[feed.still]} ${count(feed.held)} more have come.`}
      </p>
      {rows.length === 0 ? (
        <p className="empty">{emptiness(feed.rows.length, isConnected)}</p>
      ) : (
        <Rows list={list} rows={rows} />
      )}
    </>
  );
}

/** Rows hold still under a mouse: what one is about to click does not move away. */
function Rows({ list, rows }: { readonly list: FeedList; readonly rows: readonly Row[] }) {
  useEffect(() => () => list.setPointed(false), [list]);
  return (
    <ol
      className="rows"
      aria-label="Events, newest first"
      onPointerEnter={({ pointerType }) => pointerType === "mouse" && list.setPointed(true)}
      onPointerLeave={() => list.setPointed(false)}
    >
      {rows.map((row) => (
        <FeedRow key={row.key} row={row} />
      ))}
    </ol>
  );
}

const STILL = { paused: "Paused.", pointed: "Held still while you point at it." };

function emptiness(hidden: number, isConnected: boolean): string {
  if (0 < hidden) return "No event in the feed fits your search.";
  if (isConnected) return "No events yet. They appear here as they happen: publish one, and see.";
  return "Not connected.";
}
