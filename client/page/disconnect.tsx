/** Asks whether a connection, or all of its user, is to be disconnected: whoever is does not come back by itself. */

import { type SubmitEvent, useEffect, useId, useRef, useState } from "react";
import type { Api, ConnectionRow } from "./api.ts";

interface DialogProps {
  readonly api: Api;
  readonly row: ConnectionRow;
  readonly cancel: () => void;
  readonly disconnected: (count: number) => void;
}

export function DisconnectDialog({ api, row, cancel, disconnected }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [all, setAll] = useState(false);
  const [revoke, setRevoke] = useState(false);
  const [fault, setFault] = useState<string | null>(null);
  const id = useId();
  // One that is closed, and not only gone, gives the focus back to what had it.
  useEffect(() => dialog.current?.showModal(), []);
  const submit = async (submitted: SubmitEvent) => {
    submitted.preventDefault();
    try {
      const whom: Record<string, string> = all ? { user: row.user } : { connection: row.connection };
      const answer = await api.disconnect(revoke ? { ...whom, revoke: "true" } : whom);
      disconnected(answer.disconnected);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={cancel}>
      <form className="asking" onSubmit={submit}>
        <h2 id={id}>Disconnect {row.user}?</h2>
        <p>
          The connection <code>{row.connection}</code> is closed with code 4403, after which a client does not
          connect again by itself.
        </p>
        <label className="check">
          <input
            type="checkbox"
            checked={all}
            onChange={(changed) => setAll(changed.currentTarget.checked)}
          />
          All connections of {row.user}
        </label>
        <label className="check">
          <input
            type="checkbox"
            checked={revoke}
            onChange={(changed) => setRevoke(changed.currentTarget.checked)}
          />
          Refuse the tokens that {row.user} has had so far
        </label>
        <p className="fault" role="alert">
          {fault}
        </p>
        <div className="bar end">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" className="danger">
            Disconnect
          </button>
        </div>
      </form>
    </dialog>
  );
}
