/** Why connections ended, what was refused, and what was answered with an error, since the server started. */

import type { ServerStats } from "../src/emitter/api.ts";
import { count } from "./format.ts";

/** What close codes mean (PROTOCOL §7). */
const CLOSES: Readonly<Record<string, string>> = {
  1000: "normal",
  1001: "server stopping",
  1002: "protocol violation",
  1003: "binary frame",
  1007: "bad UTF-8",
  1009: "message over a limit",
  1011: "internal error",
  1012: "draining",
  1013: "overloaded",
  4400: "too many malformed messages",
  4401: "token missing or bad",
  4403: "disconnected by an operator",
  4408: "heartbeat timeout",
  4419: "token expired",
  4429: "too many messages or connections",
};

export function Endings({ stats }: { readonly stats: ServerStats }) {
  return (
    <section className="card" aria-labelledby="endings-title">
      <h2 id="endings-title">Closes, refusals and errors</h2>
      <div className="endings">
        <Counts title="Close codes" counts={stats.closes} meaning={(code) => CLOSES[code] ?? ""} />
        <Counts title="Refusals" counts={stats.refusals} />
        <Counts title="Errors answered" counts={stats.errors} />
      </div>
    </section>
  );
}

interface CountsProps {
  readonly title: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly meaning?: (name: string) => string;
}

function Counts({ title, counts, meaning = () => "" }: CountsProps) {
  const entries = Object.entries(counts).filter(([, number]) => 0 < number);
  return (
    <div>
      <h3>{title}</h3>
      {entries.length === 0 ? (
        <p className="quiet">None so far.</p>
      ) : (
        <table>
          <tbody>
            {entries.map(([name, number]) => (
              <tr key={name}>
                <th scope="row">
                  <code>{name}</code> <span className="quiet">{meaning(name)}</span>
                </th>
                <td>{count(number)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
