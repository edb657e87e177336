/** That the live page's colours can be told apart and read, in light and in dark (WCAG 2.2, 1.4.3 and 1.4.11). */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const css = readFileSync(new URL("../../page/palette.css", import.meta.url), "utf8");
const [light = "", dark = ""] = css.split("@media");

/** Everything behind text. */
const SURFACES = ["page", "card", "inset"];
const TEXTS = [
  ...["text", "quiet", "accent", "good", "warn", "bad"],
  ...["critical", "high", "normal", "low"],
];
/** Lines of charts, edges of controls, bars: what must be seen, and is not read. */
const GRAPHICS = ["edge", "line-1", "line-2", "line-3", "line-4", "line-5", "line-6"];

describe.each([
  ["light", light],
  ["dark", dark],
])("in %s", (_, part) => {
  const colours = new Map(
    [...part.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]),
  );
  const contrast = (one: string, other: string) => ratio(colours.get(one), colours.get(other));

  test("every text has a contrast of 4.5 on everything it stands on", () => {
    const pairs = SURFACES.flatMap((surface) => TEXTS.map((text) => [text, surface] as const));
    const low = [...pairs, ["on-accent", "accent"] as const].filter(
      ([text, under]) => contrast(text, under) < 4.5,
    );
    expect(low).toEqual([]);
  });

  test("what must be seen has a contrast of 3 to what is around it", () => {
    const pairs = SURFACES.flatMap((surface) => GRAPHICS.map((graphic) => [graphic, surface] as const));
    expect(pairs.filter(([graphic, under]) => contrast(graphic, under) < 3)).toEqual([]);
  });

  test("there are no other colours", () => {
    const known = [...SURFACES, ...TEXTS, ...GRAPHICS, "on-accent", "line"];
    expect([...colours.keys()].filter((name) => !known.includes(name ?? ""))).toEqual([]);
  });
});

test("no colour stands outside of the palette", () => {
  const page = readFileSync(new URL("../../page/page.css", import.meta.url), "utf8");
  // The shade behind a dialog lies over everything, and nothing is read on it.
  expect(page.match(/#[0-9a-f]{3,8}\b|\brgb\([^)]*\)|\bhsl\([^)]*\)/g)).toEqual(["rgb(0 0 0 / 50%)"]);
});

/** The contrast ratio of WCAG. */
function ratio(one = "", other = ""): number {
  const [lighter = 0, darker = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(hex: string): number {
  const [red = Number.NaN, green = Number.NaN, blue = Number.NaN] = [1, 3, 5]
    .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
