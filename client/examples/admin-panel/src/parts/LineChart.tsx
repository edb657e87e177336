/** A line over time, drawn to the width that there is. */

import { useEffect, useId, useRef, useState } from "react";

export interface Point {
  readonly at: string;
  readonly value: number;
}

const HEIGHT = 220;
const LEFT = 44;
const BOTTOM = 24;
const TOP = 12;

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export function LineChart({ title, points }: { title: string; points: readonly Point[] }) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const gradient = useId();
  const first = points[0];
  const last = points.at(-1);
  const marks = marksFor(points);
  const top = marks.at(-1) ?? 1;
  const x = (at: number) => LEFT + (at / Math.max(1, points.length - 1)) * (width - LEFT - 10);
  const y = (value: number) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const line = points.map(({ value }, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  return (
    <div ref={box} className="chart">
      {first && last ? (
        <svg width={width} height={HEIGHT} role="img" aria-label={`${title}: ${last.value} now`}>
          <defs>
            <linearGradient id={gradient} x1="0" y1="0" x2="0" y2="1">
              <stop offset="0" stopColor="var(--accent)" stopOpacity="0.28" />
              <stop offset="1" stopColor="var(--accent)" stopOpacity="0" />
            </linearGradient>
          </defs>
          {marks.map((mark) => (
            <g key={mark}>
              <line className="grid" x1={LEFT} x2={width - 10} y1={y(mark)} y2={y(mark)} />
              <text x={LEFT - 8} y={y(mark) + 4} textAnchor="end">
                {mark}
              </text>
            </g>
          ))}
          <polygon
            points={`${x(0)},${y(0)} ${line} ${x(points.length - 1)},${y(0)}`}
            fill={`url(#${gradient})`}
          />
          <polyline points={line} />
          <circle cx={x(points.length - 1)} cy={y(last.value)} r="4.5" />
          <text x={LEFT} y={HEIGHT - 6}>
            {clock.format(new Date(first.at))}
          </text>
          <text x={width - 10} y={HEIGHT - 6} textAnchor="end">
            {clock.format(new Date(last.at))}
          </text>
        </svg>
      ) : (
        <p className="empty">Waiting for the first numbers…</p>
      )}
    </div>
  );
}

/** Four round numbers above zero, the last above all values; and zero. */
function marksFor(points: readonly Point[]): number[] {
  const most = Math.max(1, ...points.map(({ value }) => value));
  const rough = most / 3.5;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((round) => rough <= round * unit) ?? 10) * unit;
  const marks = [0];
  for (let mark = step; marks.at(-1)! < most; mark += step) marks.push(mark);
  return marks;
}

function useWidth(box: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setWidth(Math.max(200, entry.contentRect.width));
    });
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, [box]);
  return width;
}
