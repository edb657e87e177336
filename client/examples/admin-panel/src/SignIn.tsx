/** Asks for the address that `tidings serve --dev` printed. An application of yours asks for a password. */

import { type FormEvent, useId, useState } from "react";
import { post, type Session } from "./api.ts";
import { Icon } from "./parts/Icon.tsx";

export function SignIn({ reason, onSignedIn }: { reason?: string; onSignedIn: (session: Session) => void }) {
  const [fault, setFault] = useState<string>();
  const id = useId();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const address = new FormData(event.currentTarget).get("address");
    try {
      onSignedIn(await post<Session>("/session", { address }));
    } catch (error) {
      setFault((error as Error).message);
    }
  };
  return (
    <main className="sign-in">
      <form className="card" onSubmit={submit}>
        <p className="brand">
          <Icon name="anchor" /> Harbor
        </p>
        <h1>Sign in</h1>
        {reason && <p className="notice">{reason}</p>}
        <p>
          Start a server with <code>tidings serve --dev</code>, and paste the address of the live page that it
          prints.
        </p>
        <label htmlFor={id}>Address</label>
        <input
          id={id}
          name="address"
          required
          autoComplete="off"
          spellCheck={false}
          placeholder="http://127.0.0.1:8080/?token=…"
          aria-describedby={`${id}-fault`}
          aria-invalid={fault !== undefined}
        />
        <p id={`${id}-fault`} className="fault" role="alert">
          {fault}
        </p>
        <button type="submit" className="primary">
          Sign in
        </button>
      </form>
    </main>
  );
}
