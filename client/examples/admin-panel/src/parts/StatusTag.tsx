/** A status, by word and colour. */

const TONES: Readonly<Record<string, string>> = {
  published: "good",
  healthy: "good",
  scheduled: "info",
  review: "warn",
  degraded: "warn",
  unhealthy: "bad",
  draft: "plain",
  archived: "plain",
};

export function StatusTag({ status }: { status: string }) {
  return (
    <span className="tag" data-tone={TONES[status] ?? "plain"}>
      {status}
    </span>
  );
}
