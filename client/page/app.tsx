/** The page as a whole: one connection, one look at the server's numbers a second, and what shows them. */

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { TidingsProvider, useConnectionStatus } from "../src/react/index.ts";
import type { Api } from "./api.ts";
import { Refusal } from "./api.ts";
import { Charts } from "./charts.tsx";
import { Connections } from "./connections.tsx";
import { Endings } from "./endings.tsx";
import { FeedPanel } from "./feed.tsx";
import { Header } from "./header.tsx";
import { usePolled } from "./hooks.ts";
import { Numbers } from "./numbers.tsx";
import { Publish } from "./publish.tsx";
import { formsOf } from "./schema.ts";
import { Samples } from "./series.ts";
import type { Session, Standing } from "./session.ts";
import { SignIn } from "./sign-in.tsx";

/** How often the server's numbers are looked at, in ms. */
const STATS_EVERY = 1_000;
/** How often a schema that could not be read is asked for again, in ms. One that was read is kept. */
const SCHEMA_EVERY = 5_000;

export function App({ session, api }: { readonly session: Session; readonly api: Api }) {
  return (
    <TidingsProvider client={session.client}>
      <Page session={session} api={api} />
    </TidingsProvider>
  );
}

function Page({ session, api }: { readonly session: Session; readonly api: Api }) {
  const standing = useSyncExternalStore(session.subscribe, session.get);
  const { status } = useConnectionStatus();
  const isIn = status !== "unauthorized" && status !== "closed" && standing.token !== null;
  const { samples, why } = useSamples(api, isIn ? standing : null);
  const [hasSchema, setHasSchema] = useState(false);
  const schema = usePolled(isIn && !hasSchema ? api.schema : null, SCHEMA_EVERY).value;
  const forms = useMemo(() => (schema === undefined ? [] : formsOf(schema)), [schema]);
  useEffect(() => setHasSchema(schema !== undefined), [schema]);

  const hasNumbers = samples.last !== undefined;
  const hasFeed = isIn || 0 < forms.length;
  const sections = [
    ...(hasNumbers ? ["Overview"] : []),
    ...(hasFeed ? ["Feed", "Publish"] : []),
    ...(hasNumbers ? ["Connections"] : []),
  ];
  return (
    <>
      <Header session={session} standing={standing} version={samples.last?.version} sections={sections} />
      <main>
        {!isIn && <SignIn session={session} standing={standing} />}
        {why !== null && <p className="note">{why}</p>}
        {samples.last !== undefined && (
          <section id="overview" aria-label="Overview">
            <Numbers samples={samples} />
            <Charts samples={samples} />
          </section>
        )}
        {hasFeed && (
          <div className="columns">
            <FeedPanel session={session} standing={standing} api={api} forms={forms} />
            <Publish api={api} forms={forms} isIn={isIn} />
          </div>
        )}
        {samples.last !== undefined && (
          <>
            <Connections api={api} own={standing.connection} isIn={isIn} />
            <Endings stats={samples.last} />
          </>
        )}
      </main>
    </>
  );
}

/** The samples of the server's numbers so far, and why there are none any more. */
function useSamples(api: Api, standing: Standing | null): { samples: Samples; why: string | null } {
  const [samples, setSamples] = useState(() => new Samples());
  const polled = usePolled(standing === null ? null : api.stats, STATS_EVERY);
  useEffect(() => {
    const stats = polled.value;
    if (stats !== undefined) setSamples((samples) => samples.add(stats));
  }, [polled.value]);
  const why = standing === null ? null : reason(polled.error);
  return { samples: why === null ? samples : new Samples(), why };
}

/** Why the numbers are not shown, where that is for good. What only breaks shows in the header. */
function reason(error: unknown): string | null {
  if (!(error instanceof Refusal)) return null;
  if (error.status === 403)
    return "This token may read events, and not the server's numbers or its list of connections: those are for administrators.";
  if (error.status === 404)
    return "The numbers and the list of connections are on the operators' own listener (ops.listen).";
  return null;
}
