/** An event of one type as a form that is made from the server's schema, and what the server says of it. */

import { type SubmitEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import type { Priority } from "../src/types.ts";
import { type Api, type EventFault, type NewEvent, Refusal } from "./api.ts";
import { exampleOf } from "./examples.ts";
import { FieldEntry } from "./field-entry.tsx";
import { CopyButton } from "./json.tsx";
import { LANES } from "./lanes.ts";
import { Prose } from "./prose.tsx";
import { type Entered, type EventForm, type Field, faultsAt, readEntered, readRaw } from "./schema.ts";

/** What may be said of an event beside its type and data. */
interface Envelope {
  readonly priority: Priority | "";
  readonly subject: string;
}

interface EventEntryProps {
  readonly api: Api;
  readonly form: EventForm;
  readonly forms: readonly EventForm[];
  readonly setType: (type: string) => void;
}

export function EventEntry({ api, form, forms, setType }: EventEntryProps) {
  const [number, setNumber] = useState(0);
  const [entered, setEntered] = useState<Entered>(() => exampleOf(form, number, new Date()));
  const [raw, setRaw] = useState("{}");
  const [envelope, setEnvelope] = useState<Envelope>({ priority: "", subject: "" });
  const read = useMemo(
    () => (form.fields.length === 0 ? readRaw(raw) : readEntered(form, entered)),
    [form, entered, raw],
  );
  const event = eventOf(form, read.data, envelope);
  const { submit, faults, said } = usePublishing(api, event, read.faults);
  const element = useFocusOnFault(faults);
  const again = () => {
    setNumber(number + 1);
    setEntered(exampleOf(form, number + 1, new Date()));
  };
  const entry = (field: Field) => (
    <FieldEntry
      key={field.name}
      field={field}
      text={entered[field.name] ?? ""}
      faults={faultsAt(faults, field.name)}
      enter={(text) => setEntered({ ...entered, [field.name]: text })}
    />
  );
  return (
    <form ref={element} onSubmit={submit} autoComplete="off" noValidate>
      <TypeChoice form={form} forms={forms} setType={setType} />
      {form.fields.filter((field) => field.required).map(entry)}
      {form.fields.length === 0 && <RawEntry text={raw} enter={setRaw} />}
      <details>
        <summary>Optional fields</summary>
        {form.fields.filter((field) => !field.required).map(entry)}
        <EnvelopeEntry form={form} envelope={envelope} enter={setEnvelope} />
      </details>
      <OtherFaults form={form} faults={faults} />
      <div className="bar">
        <button type="submit" className="main">
          Publish
        </button>
        <button type="button" onClick={again}>
          Another example
        </button>
        <CopyButton text={curl(event)} what="as curl" />
      </div>
      <p role="status" className={said?.good === false ? "fault" : "good"}>
        {said?.text}
      </p>
    </form>
  );
}

function eventOf(form: EventForm, data: Record<string, unknown>, { priority, subject }: Envelope): NewEvent {
  return { type: form.type, data, ...(priority !== "" && { priority }), ...(subject !== "" && { subject }) };
}

/** Publishes an event in which nothing is known to be wrong, and keeps what came of it. */
function usePublishing(api: Api, event: NewEvent, known: readonly EventFault[]) {
  const [faults, setFaults] = useState<readonly EventFault[]>([]);
  const [said, setSaid] = useState<{ readonly good: boolean; readonly text: string } | null>(null);
  const submit = async (submitted: SubmitEvent) => {
    submitted.preventDefault();
    setSaid(null);
    setFaults(known);
    if (0 < known.length) return;
    try {
      const [result] = await api.publish(event);
      setSaid({ good: true, text: `Published at offset ${result?.offset}.` });
    } catch (error) {
      if (error instanceof Refusal) setFaults(error.faults);
      setSaid({ good: false, text: error instanceof Error ? error.message : String(error) });
    }
  };
  return { submit, faults, said };
}

/** Leads to the first field that is wrong, and opens what hides it. */
function useFocusOnFault(faults: readonly EventFault[]) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (faults.length === 0) return;
    const first = form.current?.querySelector<HTMLElement>("[aria-invalid=true]");
    first?.closest("details")?.setAttribute("open", "");
    first?.focus();
  }, [faults]);
  return form;
}

function TypeChoice({ form, forms, setType }: Pick<EventEntryProps, "form" | "forms" | "setType">) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>Type</label>
      <select id={id} value={form.type} onChange={(changed) => setType(changed.currentTarget.value)}>
        {categories(forms).map(([category, types]) => (
          <optgroup key={category} label={category}>
            {types.map((type) => (
              <option key={type}>{type}</option>
            ))}
          </optgroup>
        ))}
      </select>
      <p className="quiet">
        <Prose text={form.description} />
      </p>
    </div>
  );
}

function categories(forms: readonly EventForm[]): [string, string[]][] {
  const found = new Map<string, string[]>();
  for (const { type } of forms) {
    const category = type.split(".")[0] ?? "";
    found.set(category, [...(found.get(category) ?? []), type]);
  }
  return [...found];
}

interface EnvelopeProps {
  readonly form: EventForm;
  readonly envelope: Envelope;
  readonly enter: (envelope: Envelope) => void;
}

function EnvelopeEntry({ form, envelope, enter }: EnvelopeProps) {
  const id = useId();
  return (
    <>
      <div className="field">
        <label htmlFor={`${id}-priority`}>Priority</label>
        <select
          id={`${id}-priority`}
          value={envelope.priority}
          onChange={(changed) =>
            enter({ ...envelope, priority: changed.currentTarget.value as Envelope["priority"] })
          }
        >
          <option value="">{`${form.priority}, the type's own`}</option>
          {LANES.map((lane) => (
            <option key={lane}>{lane}</option>
          ))}
        </select>
      </div>
      <div className="field">
        <label htmlFor={`${id}-subject`}>Subject</label>
        <input
          id={`${id}-subject`}
          value={envelope.subject}
          onChange={(changed) => enter({ ...envelope, subject: changed.currentTarget.value })}
        />
      </div>
    </>
  );
}

/** The data of a type whose fields are not known. */
function RawEntry({ text, enter }: { readonly text: string; readonly enter: (text: string) => void }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>Data, as JSON</label>
      <textarea
        id={id}
        rows={6}
        value={text}
        spellCheck={false}
        onChange={(changed) => enter(changed.currentTarget.value)}
      />
    </div>
  );
}

/** What is wrong with no field of the form. */
function OtherFaults({ form, faults }: { readonly form: EventForm; readonly faults: readonly EventFault[] }) {
  const isOther = (fault: EventFault) =>
    form.fields.every(({ name }) => faultsAt([fault], name).length === 0);
  const others = faults.filter(isOther);
  if (others.length === 0) return null;
  return (
    <ul className="fault" role="alert">
      {others.map(({ path, message }) => (
        <li key={path + message}>
          {path} {message}
        </li>
      ))}
    </ul>
  );
}

/** A command that publishes the same event. The token is the reader's to put in. */
function curl(event: NewEvent): string {
  const body = JSON.stringify(event).replaceAll("'", "'\\''");
  const url = new URL("v1/events", document.baseURI);
  return `curl ${url} -H "Authorization: Bearer $TIDINGS_TOKEN" -H 'Content-Type: application/json' -d '${body}'`;
}
