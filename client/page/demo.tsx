/**
 * Plausible traffic at the push of a button, so that a page that was just opened has something to show. Only on the
 * machine itself: elsewhere somebody may live by these events.
 */

import { useRef, useState } from "react";
import type { Api } from "./api.ts";
import { burst } from "./examples.ts";
import { useInterval } from "./hooks.ts";
import type { EventForm } from "./schema.ts";

/** Between two batches, in ms. */
const BATCH_EVERY = 250;
const BATCH_MAX = 8;
/** It ends by itself after so many. */
const BATCHES = 2_400;

const IS_LOCAL = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);

interface DemoProps {
  readonly api: Api;
  readonly forms: readonly EventForm[];
  readonly isIn: boolean;
}

export function Demo({ api, forms, isIn }: DemoProps) {
  const [running, setRunning] = useState(false);
  const [fault, setFault] = useState<string | null>(null);
  const batches = useRef(0);
  const publish = async () => {
    batches.current += 1;
    if (BATCHES < batches.current || !isIn) return setRunning(false);
    // It ebbs and flows, so that the charts have a shape.
    const wave = 1 + Math.sin(batches.current / 24);
    const size = 1 + Math.round((wave * (BATCH_MAX - 1)) / 2);
    try {
      await api.publish(burst(shuffled(forms), size, batches.current * BATCH_MAX));
    } catch (error) {
      setRunning(false);
      setFault(error instanceof Error ? error.message : String(error));
    }
  };
  useInterval(publish, running ? BATCH_EVERY : null);
  if (!IS_LOCAL || forms.length === 0) return null;
  return (
    <>
      <button
        type="button"
        aria-pressed={running}
        onClick={() => {
          batches.current = 0;
          setFault(null);
          setRunning(!running);
        }}
      >
        {running ? "Stop demo traffic" : "Demo traffic"}
      </button>
      {fault !== null && (
        <p className="fault" role="alert">
          {fault}
        </p>
      )}
    </>
  );
}

/** Critical events are rare, as they should be. */
function shuffled(forms: readonly EventForm[]): EventForm[] {
  const rare = (form: EventForm) => form.priority !== "critical" || Math.random() < 0.05;
  return forms
    .filter(rare)
    .map((form) => ({ form, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ form }) => form);
}
