/** Publishes an event of any type. */

import { useState } from "react";
import type { Api } from "./api.ts";
import { Demo } from "./demo.tsx";
import { EventEntry } from "./event-entry.tsx";
import type { EventForm } from "./schema.ts";

const FIRST = "content.published";

interface PublishProps {
  readonly api: Api;
  readonly forms: readonly EventForm[];
  readonly isIn: boolean;
}

export function Publish({ api, forms, isIn }: PublishProps) {
  const [type, setType] = useState(FIRST);
  const form = forms.find((form) => form.type === type) ?? forms[0];
  return (
    <section className="card publish" id="publish" aria-labelledby="publish-title">
      <div className="bar">
        <h2 id="publish-title">Publish</h2>
        <Demo api={api} forms={forms} isIn={isIn} />
      </div>
      {form === undefined ? (
        <p className="empty">Once connected, events of any type can be published here.</p>
      ) : (
        <EventEntry key={form.type} api={api} form={form} forms={forms} setType={setType} />
      )}
    </section>
  );
}
