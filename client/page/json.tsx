/** JSON as a person reads it, and a button that copies it. */

import { type ReactNode, useMemo, useState } from "react";

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

export function Json({ value }: { readonly value: unknown }) {
  const text = useMemo(() => JSON.stringify(value, null, 2), [value]);
  return (
    <div className="json">
      <CopyButton text={text} what="JSON" />
      <pre>{useMemo(() => coloured(text), [text])}</pre>
    </div>
  );
}

/** Absent where the browser gives no clipboard, as on pages over plain HTTP from elsewhere. */
export function CopyButton({ text, what }: { readonly text: string; readonly what: string }) {
  /** What came of the last copy, and of which text it was. */
  const [said, setSaid] = useState({ word: "", of: text });
  if (navigator.clipboard === undefined) return null;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid({ word: "Copied", of: text });
    } catch {
      setSaid({ word: "Not allowed", of: text });
    }
  };
  return (
    <button type="button" className="small" onClick={copy}>
      <span aria-live="polite">{said.word === "" || said.of !== text ? `Copy ${what}` : said.word}</span>
    </button>
  );
}

function coloured(text: string): ReactNode[] {
  const parts: ReactNode[] = [];
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [whole, string, colon] = found;
    parts.push(text.slice(end, found.index));
    const kind = string === undefined ? "value" : colon === undefined ? "text" : "key";
    const shown = colon === undefined ? whole : string;
    parts.push(
      <span key={found.index} className={kind}>
        {shown}
      </span>,
      colon ?? "",
    );
    end = found.index + whole.length;
  }
  parts.push(text.slice(end));
  return parts;
}
