/** How numbers and times are written. */

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const CALENDAR = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** As in `12,345`, and from a million on as in `1.2M`. */
export function count(value: number): string {
  return value < 1_000_000 ? WHOLE.format(Math.round(value)) : COMPACT.format(value);
}

/** As in `1 user` or `2 users`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A rate: with a fraction only where that says something. */
export function rate(value: number): string {
  return value < 10 ? value.toFixed(1) : count(value);
}

const STEPS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
] as const;

/** As in `45 s`, `3 min` or `2 h`. */
export function age(ms: number): string {
  const seconds = ms / 1_000;
  const [size, unit] = STEPS.find(([size]) => size <= seconds) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit}`;
}

/** Microseconds, as in `50 µs` or `2.5 ms`. */
export function micros(value: number): string {
  if (value < 1_000) return `${value} µs`;
  return value < 1_000_000 ? `${value / 1_000} ms` : `${value / 1_000_000} s`;
}

/** A time of day as the reader's place writes it, with its date where that is not today's. */
export function clock(time: Date | number): string {
  const at = new Date(time);
  if (Number.isNaN(at.valueOf())) return "";
  return (at.toDateString() === new Date().toDateString() ? CLOCK : CALENDAR).format(at);
}
