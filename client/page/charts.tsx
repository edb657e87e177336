/** How events, connections and what waits have gone over the last minutes. */

import { type ReactNode, useId, useState } from "react";
import { Chart } from "./chart.tsx";
import { count, rate } from "./format.ts";
import { LANES } from "./lanes.ts";
import type { Line, Samples } from "./series.ts";

const LANE_COLOURS = LANES.map((lane) => `--${lane}`);
const TYPE_COLOURS = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6", "--quiet"];
const TWO_COLOURS = ["--normal", "--high"];

const COUNTS = ["published", "delivered"] as const;
const GROUPS = ["lane", "type"] as const;

export function Charts({ samples }: { readonly samples: Samples }) {
  const [counts, setCounts] = useState<(typeof COUNTS)[number]>("published");
  const [group, setGroup] = useState<(typeof GROUPS)[number]>("lane");
  const times = samples.times;
  const lines =
    group === "lane" ? samples.byLane((stats) => stats[counts]) : samples.byType((stats) => stats[counts]);
  const connections: Line[] = [
    { name: "WebSocket", values: samples.values((stats) => stats.connections.websocket ?? 0) },
    { name: "event streams", values: samples.values((stats) => stats.connections.sse ?? 0) },
  ];
  const backlog: Line[] = [
    { name: "queued", values: samples.values((stats) => stats.queued) },
    { name: "catch-up", values: samples.values((stats) => stats.catchUp) },
  ];
  return (
    <div className="charts">
      <Card
        title="Events a second"
        controls={
          <>
            <Choice name="Which" options={COUNTS} chosen={counts} choose={setCounts} />
            <Choice
              name="By"
              options={GROUPS}
              chosen={group}
              choose={setGroup}
              label={(option) => `by ${option}`}
            />
          </>
        }
      >
        {lines.length === 0 ? (
          <p className="quiet">No event of any type in the last minutes.</p>
        ) : (
          <Chart
            title="Events a second"
            times={times}
            lines={lines}
            colours={group === "lane" ? LANE_COLOURS : TYPE_COLOURS}
            format={rate}
          />
        )}
      </Card>
      <Card title="Open connections">
        <Chart
          title="Open connections"
          times={times}
          lines={connections}
          colours={TWO_COLOURS}
          format={count}
        />
      </Card>
      <Card title="Waiting for connections">
        <Chart title="Events that wait" times={times} lines={backlog} colours={TWO_COLOURS} format={count} />
      </Card>
    </div>
  );
}

function Card(props: {
  readonly title: string;
  readonly controls?: ReactNode;
  readonly children: ReactNode;
}) {
  const id = useId();
  return (
    <section className="card" aria-labelledby={id}>
      <div className="bar">
        <h2 id={id}>{props.title}</h2>
        {props.controls}
      </div>
      {props.children}
    </section>
  );
}

interface ChoiceProps<T extends string> {
  readonly name: string;
  readonly options: readonly T[];
  readonly chosen: T;
  readonly choose: (option: T) => void;
  readonly label?: (option: T) => string;
}

/** One of a few, side by side. */
function Choice<T extends string>({ name, options, chosen, choose, label = String }: ChoiceProps<T>) {
  const group = useId();
  return (
    <fieldset className="choice">
      <legend className="hidden">{name}</legend>
      {options.map((option) => (
        <label key={option}>
          <input type="radio" name={group} checked={option === chosen} onChange={() => choose(option)} />
          <span>{label(option)}</span>
        </label>
      ))}
    </fieldset>
  );
}
