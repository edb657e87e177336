/** Who is connected, what waits for whom, and a way to disconnect them. */

import { type SubmitEvent, useCallback, useId, useState } from "react";
import type { Api, ConnectionRow } from "./api.ts";
import { DisconnectDialog } from "./disconnect.tsx";
import { age, count, counted } from "./format.ts";
import { usePolled } from "./hooks.ts";

/** How often the list is looked at, in ms. */
const LIST_EVERY = 2_000;
/** Connections of a page. */
const PAGE = "25";

interface ConnectionsProps {
  readonly api: Api;
  /** This page's own connection. */
  readonly own: string | null;
  readonly isIn: boolean;
}

export function Connections({ api, own, isIn }: ConnectionsProps) {
  const [user, setUser] = useState("");
  const [slowOnly, setSlowOnly] = useState(false);
  /** The last connection of each page before this one. */
  const [after, setAfter] = useState<readonly string[]>([]);
  const [chosen, setChosen] = useState<ConnectionRow | null>(null);
  const [said, setSaid] = useState("");
  const load = useCallback(
    (signal: AbortSignal) => {
      const from = after.at(-1);
      const query = {
        limit: PAGE,
        ...(user !== "" && { user }),
        ...(slowOnly && { catchingUp: "true" }),
        ...(from !== undefined && { after: from }),
      };
      return api.connections(query, signal);
    },
    [api, user, slowOnly, after],
  );
  const { value, error, refresh } = usePolled(isIn ? load : null, LIST_EVERY);
  const rows = value?.connections ?? [];
  const next = value?.next;
  const disconnected = (closed: number) => {
    setSaid(`${counted(closed, "connection")} disconnected.`);
    setChosen(null);
    refresh();
  };
  return (
    <section className="card" id="connections" aria-labelledby="connections-title">
      <div className="bar">
        <h2 id="connections-title">Connections</h2>
        <Search
          find={(user) => {
            setUser(user);
            setAfter([]);
          }}
        />
        <label className="check">
          <input
            type="checkbox"
            checked={slowOnly}
            onChange={(changed) => {
              setSlowOnly(changed.currentTarget.checked);
              setAfter([]);
            }}
          />
          Slow consumers only
        </label>
      </div>
      <p className="quiet" role="status">
        {said}
      </p>
      {error !== null && <p className="fault">{error instanceof Error ? error.message : String(error)}</p>}
      {rows.length === 0 ? (
        <p className="empty">
          {value === undefined ? "Asking the server…" : "Nobody is connected who fits."}
        </p>
      ) : (
        <Table rows={rows} own={own} choose={setChosen} api={api} />
      )}
      {(0 < after.length || next !== undefined) && (
        <div className="bar">
          <button type="button" disabled={after.length === 0} onClick={() => setAfter(after.slice(0, -1))}>
            Previous
          </button>
          <button
            type="button"
            disabled={next === undefined}
            onClick={() => next !== undefined && setAfter([...after, next])}
          >
            Next
          </button>
          <span className="quiet">Page {after.length + 1}</span>
        </div>
      )}
      {chosen !== null && (
        <DisconnectDialog api={api} row={chosen} cancel={() => setChosen(null)} disconnected={disconnected} />
      )}
    </section>
  );
}

function Search({ find }: { readonly find: (user: string) => void }) {
  const [text, setText] = useState("");
  const submit = (submitted: SubmitEvent) => {
    submitted.preventDefault();
    find(text.trim());
  };
  return (
    <form className="search" onSubmit={submit} autoComplete="off">
      <input
        type="search"
        aria-label="Connections of one user"
        placeholder="User"
        value={text}
        spellCheck={false}
        autoCapitalize="none"
        onChange={(changed) => setText(changed.currentTarget.value)}
      />
      <button type="submit">Find</button>
    </form>
  );
}

interface TableProps {
  readonly rows: readonly ConnectionRow[];
  readonly own: string | null;
  readonly choose: (row: ConnectionRow) => void;
  readonly api: Api;
}

function Table({ rows, own, choose, api }: TableProps) {
  const [opened, setOpened] = useState<string | null>(null);
  return (
    <table className="connections">
      <thead>
        <tr>
          <th scope="col">User</th>
          <th scope="col">Connection</th>
          <th scope="col">Age</th>
          <th scope="col">Subscriptions</th>
          <th scope="col">Lag</th>
          <th scope="col">
            <span className="hidden">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <ConnectionLine
            key={row.connection}
            row={row}
            isOwn={row.connection === own}
            isOpen={row.connection === opened}
            open={() => setOpened(row.connection === opened ? null : row.connection)}
            choose={() => choose(row)}
            api={api}
          />
        ))}
      </tbody>
    </table>
  );
}

interface LineProps {
  readonly row: ConnectionRow;
  readonly isOwn: boolean;
  readonly isOpen: boolean;
  readonly open: () => void;
  readonly choose: () => void;
  readonly api: Api;
}

function ConnectionLine({ row, isOwn, isOpen, open, choose, api }: LineProps) {
  const id = useId();
  const lag = row.queued + row.catchUp;
  return (
    <>
      <tr>
        <th scope="row">
          {row.user} {isOwn && <span className="badge">this page</span>}
        </th>
        <td data-name="Connection">
          <div>
            <code>{row.connection}</code>
            <span className="quiet">
              {" "}
              {row.transport === "sse" ? "event stream" : "WebSocket"} from {row.address}
            </span>
          </div>
        </td>
        <td data-name="Age">{age(row.ageMs)}</td>
        <td data-name="Subscriptions">
          <div>
            <button type="button" className="small" aria-expanded={isOpen} aria-controls={id} onClick={open}>
              {count(row.subscriptions)}
              <span className="hidden"> of {row.user}</span>
            </button>
          </div>
        </td>
        <td data-name="Lag" className={row.catchingUp ? "lagging" : ""}>
          <div>
            {lag === 0 ? "none" : counted(lag, "event")}
            {row.catchingUp && <span className="badge warn">catching up</span>}
            {row.pace !== null && <span className="badge">{count(row.pace)} B/s</span>}
          </div>
        </td>
        <td>
          <button type="button" className="danger" onClick={choose}>
            Disconnect<span className="hidden"> {row.user}</span>
          </button>
        </td>
      </tr>
      {isOpen && (
        <tr id={id} className="detail">
          <td colSpan={6}>
            <Interests api={api} connection={row.connection} />
          </td>
        </tr>
      )}
    </>
  );
}

/** What a connection is subscribed to. */
function Interests({ api, connection }: { readonly api: Api; readonly connection: string }) {
  const load = useCallback(
    (signal: AbortSignal) => api.connections({ connection }, signal),
    [api, connection],
  );
  const { value } = usePolled(load, LIST_EVERY);
  const interests = value?.connections[0]?.interests;
  if (interests === undefined)
    return <p className="quiet">{value === undefined ? "Asking the server…" : "It is gone."}</p>;
  if (interests.length === 0) return <p className="quiet">It is subscribed to nothing.</p>;
  return (
    <ul className="interests">
      {interests.map(({ id, events, filter }) => (
        <li key={id}>
          <code>{events.join(" ")}</code>
          {0 < Object.keys(filter).length && (
            <>
              {" "}
              where <code>{JSON.stringify(filter)}</code>
            </>
          )}
        </li>
      ))}
    </ul>
  );
}
