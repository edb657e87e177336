/** Asks for a token, where there is none that the server accepts. */

import { type SubmitEvent, useId, useState } from "react";
import { useConnectionStatus } from "../src/react/index.ts";
import { readClaims, type Session, type Standing } from "./session.ts";

export function SignIn({ session, standing }: { readonly session: Session; readonly standing: Standing }) {
  const { error } = useConnectionStatus();
  const [text, setText] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const id = useId();
  const submit = (submitted: SubmitEvent) => {
    submitted.preventDefault();
    const token = text.trim();
    if (readClaims(token) === null) {
      setFault("That is no JWT: three parts with dots between them, of which the second names a `sub`.");
      return;
    }
    setFault(null);
    setText("");
    session.connect(token);
  };
  const why = fault ?? (standing.token === null ? null : (error?.message ?? null));
  return (
    <section className="card sign-in" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Connect</h2>
      <p>
        Here one sees what this server does: events as they happen, who is connected, and what waits for whom.
      </p>
      <p className="quiet">
        Paste a token for it. The token stays in this page and is gone with it.{" "}
        <code>tidings serve --dev</code> prints one in the address of this page;{" "}
        <code>tidings token --admin --subscribe '*' --publish '*' --max-priority critical</code> signs one
        that may do everything.
      </p>
      <form onSubmit={submit} autoComplete="off">
        <label htmlFor={id}>Token</label>
        <input
          id={id}
          type="password"
          autoComplete="off"
          value={text}
          spellCheck={false}
          placeholder="eyJ…"
          aria-invalid={why !== null}
          aria-describedby={`${id}-fault`}
          onChange={(changed) => setText(changed.currentTarget.value)}
        />
        <button type="submit" className="main">
          Connect
        </button>
      </form>
      <p id={`${id}-fault`} className="fault" role="alert">
        {why}
      </p>
    </section>
  );
}
