/** Waiting that a signal ends, and promises that may be left alone. */

import { TidingsError } from "../errors.ts";

/** Waits for so many ms, or until the signal is aborted. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/** The promise, or a rejection with `stopped` as soon as the signal is aborted. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const aborted = new Promise<never>((_, reject) => {
    const end = () => reject(stopped("its signal ended the wait", signal));
    signal.addEventListener("abort", end);
    const forget = () => signal.removeEventListener("abort", end);
    promise.then(forget, forget);
    if (signal.aborted) end();
  });
  return Promise.race([promise, aborted]);
}

/** The error of what was stopped. */
export function stopped(message: string, signal?: AbortSignal): TidingsError {
  return new TidingsError("stopped", message, signal === undefined ? {} : { cause: signal.reason });
}

/** The promise; where it is left alone its rejection is not an unhandled one. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
