/** What users do, and who is here. Choosing what to see changes the subscription, not only the list. */

import { useEffect, useState } from "react";
import type { EventOf } from "tidings";
import { useUserEvents } from "tidings/react";
import { get, type Person } from "../api.ts";
import { Time } from "../parts/Time.tsx";

const KINDS = {
  Everything: undefined,
  "Signing in and out": ["user.login", "user.logout"],
  Accounts: ["user.registered", "user.profile_updated", "user.password_changed"],
} as const;

export function UsersPage() {
  const [kind, setKind] = useState<keyof typeof KINDS>("Everything");
  const { events } = useUserEvents({ types: KINDS[kind], recent: 50, limit: 50 });
  const nameOf = useNames();
  return (
    <div className="columns">
      <section className="card">
        <fieldset className="choice">
          <legend className="unseen">Show</legend>
          {(Object.keys(KINDS) as (keyof typeof KINDS)[]).map((name) => (
            <label key={name}>
              <input type="radio" name="kind" checked={name === kind} onChange={() => setKind(name)} />
              {name}
            </label>
          ))}
        </fieldset>
        <ul className="feed">
          {events.map((event) => (
            <li key={event.id}>
              <span>
                <b>{nameOf(event.userId)}</b> {deedOf(event)}
              </span>
              <small>
                <Time at={event.time} />
              </small>
            </li>
          ))}
        </ul>
        {events.length === 0 && <p className="empty">Nothing of that yet.</p>}
      </section>
      <Present nameOf={nameOf} />
    </div>
  );
}

function Present({ nameOf }: { nameOf: (userId: string) => string }) {
  const { events } = useUserEvents({ types: ["user.login", "user.logout"], recent: 200, limit: 500 });
  const present = new Map<string, EventOf<"user.login">["data"]>();
  for (const { type, data } of events.toReversed()) {
    if (type === "user.login") present.set(data.userId, data);
    else present.delete(data.userId);
  }
  return (
    <section className="card">
      <h2>Here now: {present.size}</h2>
      <ul className="rows">
        {[...present.values()].map((data) => (
          <li key={data.userId}>
            <span>{nameOf(data.userId)}</span>
            <small>{typeof data.location === "string" && data.location}</small>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Events carry ids; names are the back end's to give. */
function useNames(): (userId: string) => string {
  const [people, setPeople] = useState<readonly Person[]>([]);
  useEffect(() => {
    // Without names the ids are shown.
    get<readonly Person[]>("/people").then(setPeople, () => {});
  }, []);
  return (userId) => people.find(({ id }) => id === userId)?.name ?? userId;
}

function deedOf(event: EventOf<"user.*">): string {
  switch (event.type) {
    case "user.login":
      return typeof event.data.location === "string" ? `signed in from ${event.data.location}` : "signed in";
    case "user.logout":
      return "signed out";
    case "user.registered":
      return "registered";
    case "user.profile_updated":
      return `changed their ${event.data.updatedFields.join(", ")}`;
    case "user.password_changed":
      return "has a new password";
  }
}
