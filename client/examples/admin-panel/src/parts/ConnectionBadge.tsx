/** Whether what one sees is live. */

import { useConnectionStatus } from "tidings/react";

const WORDS = {
  idle: "Not connected",
  connecting: "Connecting…",
  open: "Live",
  waiting: "Reconnecting…",
  offline: "Offline",
  unauthorized: "Signed out",
  closed: "Stopped",
} as const;

export function ConnectionBadge() {
  const { status, error } = useConnectionStatus();
  return (
    <p className="connection" role="status" data-status={status} title={error?.message}>
      {WORDS[status]}
    </p>
  );
}
