/** One field of an event's data, entered as its kind is best entered, with what is wrong with it beneath. */

import { useId } from "react";
import type { EventFault } from "./api.ts";
import { Prose } from "./prose.tsx";
import type { Field } from "./schema.ts";

interface FieldEntryProps {
  readonly field: Field;
  readonly text: string;
  readonly faults: readonly EventFault[];
  readonly enter: (text: string) => void;
}

export function FieldEntry({ field, text, faults, enter }: FieldEntryProps) {
  const id = useId();
  const invalid = 0 < faults.length;
  return (
    <div className={invalid ? "field invalid" : "field"}>
      <label htmlFor={id}>
        <code>{field.name}</code>
        <span className="quiet">
          {" "}
          <Prose text={field.description} />
        </span>
      </label>
      <Control id={id} field={field} text={text} invalid={invalid} enter={enter} />
      <p id={`${id}-fault`} className="fault">
        {faults.map((fault) => `${fault.path.slice("$.data.".length)} ${fault.message}`).join("; ")}
      </p>
    </div>
  );
}

interface ControlProps {
  readonly id: string;
  readonly field: Field;
  readonly text: string;
  readonly invalid: boolean;
  readonly enter: (text: string) => void;
}

function Control({ id, field, text, invalid, enter }: ControlProps) {
  const common = {
    id,
    value: text,
    required: field.required,
    "aria-invalid": invalid,
    "aria-describedby": `${id}-fault`,
    onChange: (changed: { readonly currentTarget: { readonly value: string } }) =>
      enter(changed.currentTarget.value),
  };
  switch (field.entry) {
    case "choice":
    case "boolean":
      return (
        <select {...common}>
          <option value="">–</option>
          {(field.entry === "boolean" ? ["true", "false"] : field.choices).map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      );
    case "json":
      return <textarea {...common} rows={2} spellCheck={false} placeholder={placeholder(field)} />;
    case "time":
      return (
        <div className="with-button">
          <input {...common} spellCheck={false} placeholder="2026-01-31T08:09:10Z" />
          <button type="button" onClick={() => enter(new Date().toISOString())}>
            Now<span className="hidden"> for {field.name}</span>
          </button>
        </div>
      );
    case "number":
      return <input {...common} inputMode="decimal" />;
    case "list":
      return <input {...common} placeholder="one, two" />;
    case "text":
      return <input {...common} />;
  }
}

function placeholder({ types }: Field): string {
  return `JSON${types.length === 0 ? "" : `: ${types.join(" or ")}`}`;
}
