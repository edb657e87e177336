/** Moments, told by the clock or by how long ago they are. */

import { useEffect, useState } from "react";

/** The time, told anew every so many ms. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "narrow" });

export function Time({ at, as = "ago" }: { at: string; as?: "ago" | "clock" }) {
  const now = useNow(5000);
  const moment = new Date(at);
  return (
    <time dateTime={at} title={exact.format(moment)}>
      {as === "clock" ? clock.format(moment) : agoOf(moment, now)}
    </time>
  );
}

function agoOf(moment: Date, now: number): string {
  const seconds = Math.round((now - moment.getTime()) / 1000);
  if (seconds < 5) return "now";
  if (seconds < 60) return ago.format(-seconds, "second");
  if (seconds < 3600) return ago.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86_400) return ago.format(-Math.round(seconds / 3600), "hour");
  return date.format(moment);
}
