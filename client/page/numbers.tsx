/** The numbers that one looks at first. */

import type { ReactNode } from "react";
import { count, counted, micros, rate } from "./format.ts";
import type { Samples } from "./series.ts";

/** Seconds over which the latency is taken. */
const LATENCY_SECONDS = 10;

interface NumberProps {
  readonly name: string;
  readonly value: string;
  readonly note: ReactNode;
  /** Something that an operator should look at. */
  readonly alert?: boolean;
}

function Figure({ name, value, note, alert = false }: NumberProps) {
  return (
    <div className={alert ? "figure alert" : "figure"}>
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong>
        <span className="quiet">{note}</span>
      </dd>
    </div>
  );
}

export function Numbers({ samples }: { readonly samples: Samples }) {
  const stats = samples.last;
  if (stats === undefined) return null;
  const published = samples.rates((stats) => stats.eventsPublished).at(-1) ?? 0;
  const delivered = samples.rates((stats) => stats.eventsDelivered).at(-1) ?? 0;
  const latency = samples.latency(0.99, LATENCY_SECONDS);
  return (
    <dl className="figures">
      <Figure
        name="Connections"
        value={count(stats.totalConnections)}
        note={`${counted(stats.users, "user")}, ${counted(stats.activeSubscriptions, "subscription")}`}
      />
      <Figure name="Published / s" value={rate(published)} note={`${count(stats.eventsPublished)} in all`} />
      <Figure name="Delivered / s" value={rate(delivered)} note={`${count(stats.eventsDelivered)} in all`} />
      <Figure
        name="Latency, p99"
        value={latency === undefined ? "–" : `${latency.isBound ? "≤" : ">"} ${micros(latency.micros)}`}
        note={`to the kernel, last ${LATENCY_SECONDS} s`}
      />
      <Figure name="Queued" value={count(stats.queued)} note={`${count(stats.conflated)} conflated`} />
      <Figure
        name="Catch-up depth"
        value={count(stats.catchUp)}
        note={`in history, ${counted(stats.catchingUp, "lane")}`}
      />
      <Figure
        name="Slow consumers"
        value={count(stats.slowConsumers)}
        note={counted(stats.overflows, "overflow")}
        alert={0 < stats.slowConsumers}
      />
      <Figure
        name="Gaps"
        value={count(stats.gaps)}
        note={`${count(stats.gapsByReason.expired)} expired, ${count(stats.gapsByReason.epoch)} epoch`}
        alert={0 < stats.gaps}
      />
    </dl>
  );
}
