/** How components learn of what the server says over HTTP. */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

export interface Polled<T> {
  readonly value: T | undefined;
  /** Why the last attempt failed. */
  readonly error: unknown;
  /** Asks anew at once. */
  readonly refresh: () => void;
}

/** Asks again and again, the next time `every` ms after an answer, while the page can be seen. `null` asks for nothing. */
export function usePolled<T>(load: ((signal: AbortSignal) => Promise<T>) | null, every: number): Polled<T> {
  const [state, setState] = useState<{ value: T | undefined; error: unknown }>({
    value: undefined,
    error: null,
  });
  const [round, setRound] = useState(0);
  const visible = useVisible();
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round asks anew.
  useEffect(() => {
    if (load === null || !visible) return;
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const value = await load(ended.signal);
        if (!ended.signal.aborted) setState({ value, error: null });
      } catch (error) {
        if (!ended.signal.aborted) setState(({ value }) => ({ value, error }));
      }
      if (!ended.signal.aborted) timer = setTimeout(ask, every);
    };
    void ask();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [load, every, visible, round]);
  const refresh = useCallback(() => setRound((round) => round + 1), []);
  return { ...state, refresh };
}

function useVisible(): boolean {
  const subscribe = useCallback((listener: () => void) => {
    document.addEventListener("visibilitychange", listener);
    return () => document.removeEventListener("visibilitychange", listener);
  }, []);
  return useSyncExternalStore(subscribe, () => document.visibilityState === "visible");
}

const DARK = matchMedia("(prefers-color-scheme: dark)");

/** Whether the reader wants a dark page. */
export function useDark(): boolean {
  const subscribe = useCallback((listener: () => void) => {
    DARK.addEventListener("change", listener);
    return () => DARK.removeEventListener("change", listener);
  }, []);
  return useSyncExternalStore(subscribe, () => DARK.matches);
}

/** Calls the newest `action` every `ms` ms; `null` stops. */
export function useInterval(action: () => void, ms: number | null): void {
  const latest = useRef(action);
  useEffect(() => {
    latest.current = action;
  });
  useEffect(() => {
    if (ms === null) return;
    const timer = setInterval(() => latest.current(), ms);
    return () => clearInterval(timer);
  }, [ms]);
}
