/**
 * Articles as they are right now: what the back end had when the page was opened, and everything that has happened
 * since. Publishing goes to the back end; what it does comes back as an event, here and in every other open panel.
 */

import { useEffect, useMemo, useState } from "react";
import type { EventOf } from "tidings";
import { useContentEvents } from "tidings/react";
import { type Content, get, post, type Status } from "../api.ts";
import { StatusTag } from "../parts/StatusTag.tsx";
import { Time } from "../parts/Time.tsx";

export function ContentPage() {
  const [stored, setStored] = useState<readonly Content[]>([]);
  const [fault, setFault] = useState<string>();
  const { events } = useContentEvents({ recent: 200, limit: 1000 });
  const [wanted, setWanted] = useState("all");
  useEffect(() => {
    get<readonly Content[]>("/content").then(setStored, (error) => setFault(String(error.message)));
  }, []);

  const contents = useMemo(() => events.reduceRight(applied, stored), [events, stored]);
  const shown = contents.filter(({ status }) => wanted === "all" || status === wanted);
  const change = (content: Content, newStatus: Status) => {
    const { id, title, status: oldStatus } = content;
    post("/content/status", { id, title, oldStatus, newStatus }).then(
      () => setFault(undefined),
      (error) => setFault(String(error.message)),
    );
  };
  return (
    <section className="card">
      <div className="toolbar">
        <label>
          Status{" "}
          <select value={wanted} onChange={(event) => setWanted(event.target.value)}>
            {["all", "draft", "review", "scheduled", "published", "archived"].map((status) => (
              <option key={status}>{status}</option>
            ))}
          </select>
        </label>
        <p>
          {shown.length} of {contents.length}
        </p>
      </div>
      <p className="fault" role="alert">
        {fault}
      </p>
      <table>
        <thead>
          <tr>
            <th scope="col">Title</th>
            <th scope="col">Kind</th>
            <th scope="col">Status</th>
            <th scope="col">Changed</th>
            <th scope="col">
              <span className="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((content) => (
            <Row key={content.id} content={content} onChange={change} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Row({
  content,
  onChange,
}: {
  content: Content;
  onChange: (content: Content, status: Status) => void;
}) {
  const { title, type, status, changedAt } = content;
  const isPublic = status === "published";
  return (
    <tr>
      <th scope="row">{title}</th>
      <td>{type}</td>
      {/* Another key for another moment: so the cell shows that it has changed. */}
      <td key={changedAt} className="changed">
        <StatusTag status={status} />
      </td>
      <td>
        <Time at={changedAt} />
      </td>
      <td>
        <button
          type="button"
          aria-label={`${isPublic ? "Unpublish" : "Publish"} ${title}`}
          onClick={() => onChange(content, isPublic ? "draft" : "published")}
        >
          {isPublic ? "Unpublish" : "Publish"}
        </button>
      </td>
    </tr>
  );
}

/** The articles after one more event. */
function applied(contents: readonly Content[], event: EventOf<"content.*">): readonly Content[] {
  const { contentId: id } = event.data;
  const changedAt = event.time;
  switch (event.type) {
    case "content.created": {
      const { title, type, status } = event.data;
      return [...contents.filter((content) => content.id !== id), { id, title, type, status, changedAt }];
    }
    case "content.deleted":
      return contents.filter((content) => content.id !== id);
    case "content.status_changed":
      return contents.map((content) =>
        content.id === id ? { ...content, status: event.data.newStatus, changedAt } : content,
      );
    default: {
      const { title, status } = event.data;
      return contents.map((content) =>
        content.id === id ? { ...content, title, status, changedAt } : content,
      );
    }
  }
}
