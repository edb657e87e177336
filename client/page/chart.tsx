/**
 * Lines over the last minutes. Colours come from the page's own, so that they follow light and dark; a line has a
 * pattern of its own besides, and the legend says in words what the lines show, for whoever cannot see them.
 */

import { useEffect, useMemo, useRef, useState } from "react";
import UPlot from "uplot";
import { useDark } from "./hooks.ts";
import type { Line } from "./series.ts";

const HEIGHT = 150;
/** What a chart spans at least, in s: it begins with that and grows with what there is. */
const SECONDS_MIN = 60;
const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [1, 2], [12, 4]];

export interface ChartProps {
  /** What is shown, as in "Events a second". */
  readonly title: string;
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  /** CSS variables of the lines' colours. */
  readonly colours: readonly string[];
  /** How the legend writes a value. */
  readonly format: (value: number) => string;
}

export function Chart({ title, times, lines, colours, format }: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const [hovered, setHovered] = useState<number | null>(null);
  const dark = useDark();
  const names = lines.map((line) => line.name).join();
  const data = useMemo(
    () => [times, ...lines.map((line) => line.values)] as UPlot.AlignedData,
    [times, lines],
  );
  const latest = useRef(data);
  latest.current = data;

  // biome-ignore lint/correctness/useExhaustiveDependencies: colours are read anew where the theme is another.
  useEffect(() => {
    const element = host.current;
    if (element === null) return;
    const made = new UPlot(options(element, names.split(","), colours, setHovered), latest.current, element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [names, colours, dark]);

  useEffect(() => plot.current?.setData(data), [data]);

  const at = hovered ?? times.length - 1;
  return (
    <figure className="chart">
      <figcaption>
        <ul className="legend" aria-label={title}>
          {lines.map((line, index) => (
            <li key={line.name}>
              <svg viewBox="0 0 20 4" width="20" height="4" aria-hidden="true">
                <line
                  x2="20"
                  y1="2"
                  y2="2"
                  stroke={`var(${colourOf(colours, index)})`}
                  strokeWidth="3"
                  strokeDasharray={dashOf(index).join(" ")}
                />
              </svg>
              {line.name} <b>{format(line.values[at] ?? 0)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={host} aria-hidden="true" className="plot" />
    </figure>
  );
}

function options(
  element: HTMLElement,
  names: readonly string[],
  colours: readonly string[],
  hover: (at: number | null) => void,
): UPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 16, 0, 0],
    cursor: { y: false, drag: { setScale: false }, points: { size: 6 } },
    scales: {
      x: { time: false, range: (_, min) => [Math.min(min, -SECONDS_MIN), 0] },
      y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] },
    },
    axes: [
      {
        ...axis,
        size: 24,
        space: 70,
        values: (_, ticks) => ticks.map(ago),
        incrs: [15, 30, 60, 120],
      },
      {
        ...axis,
        size: 44,
        values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? rateTick(tick) : "")),
      },
    ],
    series: [
      {},
      ...names.map((label, index) => ({
        label,
        stroke: colour(colourOf(colours, index)),
        width: 2,
        dash: [...dashOf(index)],
        points: { show: false },
      })),
    ],
    hooks: { setCursor: [(plot) => hover(plot.cursor.idx ?? null)] },
  };
}

function ago(seconds: number): string {
  if (seconds === 0) return "now";
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}

function rateTick(tick: number): string {
  return new Intl.NumberFormat("en", { notation: "compact" }).format(tick);
}

function colourOf(colours: readonly string[], index: number): string {
  return colours[index % colours.length] ?? "--text";
}

function dashOf(index: number): readonly number[] {
  return DASHES[index % DASHES.length] ?? [];
}
