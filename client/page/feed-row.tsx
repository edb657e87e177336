/** A row of the feed: what happened in a line, and the event's JSON for who opens it. */

import { memo, useState } from "react";
import type { CloudEvent, Gap } from "../src/types.ts";
import type { Row } from "./feed-list.ts";
import { clock, count } from "./format.ts";
import { Json } from "./json.tsx";

/** Fields of an event's data that its line shows. */
const GIST_FIELDS = 4;

export const FeedRow = memo(function FeedRow({ row }: { readonly row: Row }) {
  const [open, setOpen] = useState(false);
  if ("gap" in row) return <li className="gap">{gapText(row.gap)}</li>;
  const { event, lane, offset } = row.delivery;
  return (
    <li className={lane}>
      <details onToggle={(toggled) => setOpen(toggled.currentTarget.open)}>
        <summary>
          <span className="lane">{lane}</span>
          <span className="type">{event.type}</span>
          <span className="gist">{gist(event)}</span>
          {lane === "critical" && 0 < row.overtook && (
            <span className="overtook">overtook {count(row.overtook)}</span>
          )}
          <time dateTime={event.time}>{clock(new Date(event.time))}</time>
          <span className="offset">#{offset}</span>
        </summary>
        {open && <Json value={event} />}
      </details>
    </li>
  );
});

function gist({ data }: CloudEvent): string {
  const scalars = Object.entries(data).filter(([, value]) => typeof value !== "object");
  return scalars
    .slice(0, GIST_FIELDS)
    .map(([name, value]) => `${name}: ${value}`)
    .join(" · ");
}

function gapText({ lane, after, until, reason }: Gap): string {
  const range = after === undefined ? `up to ${until}` : `after ${after}, up to ${until}`;
  const why = reason === "epoch" ? "the log began anew" : "history no longer holds them";
  return `Gap in lane ${lane}: events ${range} may be missing, since ${why}.`;
}
