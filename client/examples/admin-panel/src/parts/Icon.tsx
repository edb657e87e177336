/** Line icons. They stand beside words, so they say nothing by themselves. */

const PATHS = {
  anchor: "M12 7v13M5 13a7 7 0 0 0 14 0M8.5 10.5h7M12 7a2 2 0 1 0 0-4 2 2 0 0 0 0 4",
  chart: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  pages: "M7 3h7l4 4v14H7zM14 3v4h4M10 12h5M10 16h5",
  people:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M2.5 20a6.5 6.5 0 0 1 13 0M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.5a6.5 6.5 0 0 1 3.5 5.5",
  sliders:
    "M4 7h10M18 7h2M4 17h2M10 17h10M16 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5M8 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5",
  warning: "M12 4 2.5 20h19zM12 10v4.5M12 17.3v.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
