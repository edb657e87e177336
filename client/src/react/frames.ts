/**
 * Lets everything that wants to tell React something wait for the next frame, so that all of it is one commit and
 * no frame has two. A page that is hidden has no frames, and one that is busy has them late: then a timer is first.
 */

const TIMER_MS = 100;

const waiting = new Set<() => void>();
let cancel: (() => void) | undefined;

/** Calls `flush` once, before the next frame. Asking for the same function again before then asks for it once. */
export function nextFrame(flush: () => void): void {
  waiting.add(flush);
  cancel ??= request();
}

function request(): () => void {
  const timer = setTimeout(run, TIMER_MS);
  if (typeof requestAnimationFrame !== "function") return () => clearTimeout(timer);
  const frame = requestAnimationFrame(run);
  return () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
  };
}

function run(): void {
  cancel?.();
  cancel = undefined;
  const flushes = [...waiting];
  waiting.clear();
  for (const flush of flushes) flush();
}
