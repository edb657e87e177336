/** Maintenance that is announced or under way; it comes before everything else that waits. */

import { useState } from "react";
import { useSystemEvents } from "tidings/react";
import { Icon } from "./Icon.tsx";
import { Time, useNow } from "./Time.tsx";

export function MaintenanceBanner() {
  const { lastEvent } = useSystemEvents({ types: ["system.maintenance"], recent: 1, limit: 1 });
  const [dismissed, setDismissed] = useState<string>();
  const now = useNow(1000);
  const ends = lastEvent?.endsAt ? Date.parse(lastEvent.endsAt) : Number.POSITIVE_INFINITY;
  const shown = lastEvent !== null && lastEvent.id !== dismissed && now < ends;
  return (
    <div role="alert">
      {shown && (
        <section className="banner" aria-label="Maintenance">
          <Icon name="warning" />
          <p>
            <b>{Date.parse(lastEvent.startsAt) < now ? "Maintenance is under way." : "Maintenance soon."}</b>{" "}
            {lastEvent.message}{" "}
            {lastEvent.endsAt && (
              <>
                Until <Time at={lastEvent.endsAt} as="clock" />.
              </>
            )}
          </p>
          <button type="button" onClick={() => setDismissed(lastEvent.id)}>
            Dismiss
          </button>
        </section>
      )}
    </div>
  );
}
