/** Who is signed in, and the connection for everything below. */

import { useEffect, useState } from "react";
import { TidingsProvider } from "tidings/react";
import { get, getToken, type Session } from "./api.ts";
import { Panel } from "./Panel.tsx";
import { SignIn } from "./SignIn.tsx";

export function App() {
  const [session, setSession] = useState<Session | null>();
  /** Counts how often events were missed for good. */
  const [missed, setMissed] = useState(0);
  useEffect(() => {
    get<Session | null>("/session").then(setSession, () => setSession(null));
  }, []);

  if (session === undefined) return null;
  if (session === null) return <SignIn onSignedIn={setSession} />;
  return (
    // Another token is another user: nothing of the one before is to be seen.
    <TidingsProvider
      key={session.token}
      url={session.url}
      getToken={getToken}
      onGap={() => setMissed((count) => count + 1)}
    >
      <Panel missed={missed} onSignedIn={setSession} />
    </TidingsProvider>
  );
}
