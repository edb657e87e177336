/** What visitors do right now, and how the services are. Everything here is an event, or the newest of its kind. */

import type { ReactNode } from "react";
import { useAnalyticsEvents, useSystemEvents } from "tidings/react";
import { LineChart, type Point } from "../parts/LineChart.tsx";
import { StatusTag } from "../parts/StatusTag.tsx";
import { Time } from "../parts/Time.tsx";

const METRICS = { lcp: "Largest paint", inp: "Interaction delay", ttfb: "First byte" } as const;

export function DashboardPage() {
  return (
    <div className="dashboard">
      <Numbers />
      <Visitors />
      <Activity />
      <Speed />
      <Services />
    </div>
  );
}

const newest = { recent: 1, limit: 1 };
const whole = new Intl.NumberFormat();
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

function useTraffic() {
  return useAnalyticsEvents({ types: ["analytics.traffic_update"], filter: { period: "today" }, ...newest })
    .lastEvent;
}

function Numbers() {
  const traffic = useTraffic();
  const shown = (value: number | null | undefined, format: Intl.NumberFormat) =>
    value === null || value === undefined ? "–" : format.format(value);
  return (
    <dl className="numbers">
      <Figure name="Page views today">{shown(traffic?.pageViews, whole)}</Figure>
      <Figure name="Visitors today">{shown(traffic?.uniqueVisitors, whole)}</Figure>
      <Figure name="Left after one page">{shown(traffic?.bounceRate, percent)}</Figure>
    </dl>
  );
}

function Figure({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="card">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Visitors() {
  const { lastEvent } = useAnalyticsEvents({
    types: ["analytics.chart_update"],
    filter: { chartId: "visitors" },
    ...newest,
  });
  return (
    <section className="card visitors">
      <h2>Visitors on the site</h2>
      <LineChart title="Visitors on the site" points={(lastEvent?.dataPoints ?? []).filter(isPoint)} />
    </section>
  );
}

function isPoint(point: unknown): point is Point {
  return typeof point === "object" && point !== null && "at" in point && "value" in point;
}

function Activity() {
  const { events } = useAnalyticsEvents({ types: ["analytics.new_activity"], recent: 9, limit: 9 });
  return (
    <section className="card activity">
      <h2>Activity</h2>
      <ul className="feed">
        {events.map(({ id, message, device, timestamp }) => (
          <li key={id}>
            <span>{message}</span>
            <small>
              {typeof device === "string" && `${device} · `}
              <Time at={timestamp} />
            </small>
          </li>
        ))}
      </ul>
      {events.length === 0 && <p className="empty">Nothing yet.</p>}
    </section>
  );
}

function Speed() {
  const { events } = useAnalyticsEvents({ types: ["analytics.performance_update"], recent: 30, limit: 30 });
  const topPages = useTraffic()?.topPages ?? [];
  return (
    <section className="card">
      <h2>Speed and pages</h2>
      <ul className="rows">
        {Object.entries(METRICS).map(([metric, name]) => {
          const measured = events.find((event) => event.metric === metric);
          return (
            <li key={metric}>
              <span>{name}</span>
              <b>{measured ? `${whole.format(measured.value)} ${measured.unit ?? ""}` : "–"}</b>
            </li>
          );
        })}
        {topPages.filter(isTopPage).map(({ path, views }) => (
          <li key={path}>
            <span>{path}</span>
            <b>{whole.format(views)}</b>
          </li>
        ))}
      </ul>
    </section>
  );
}

function isTopPage(page: unknown): page is { path: string; views: number } {
  return typeof page === "object" && page !== null && "path" in page && "views" in page;
}

function Services() {
  const { events } = useSystemEvents({ types: ["system.health_check"], recent: 30, limit: 30 });
  const services = [...new Set(events.map(({ service }) => service))].sort();
  return (
    <section className="card">
      <h2>Services</h2>
      <ul className="rows">
        {services.map((service) => {
          const check = events.find((event) => event.service === service);
          return (
            <li key={service}>
              <span>
                {service} <small>{check?.latencyMs} ms</small>
              </span>
              {check && <StatusTag status={check.status} />}
            </li>
          );
        })}
      </ul>
      {services.length === 0 && <p className="empty">Not looked at yet.</p>}
    </section>
  );
}
