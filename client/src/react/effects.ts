/** Two small hooks that the others are made of. */

import { useEffect, useLayoutEffect, useState } from "react";

/**
 * Runs when a render is committed, and before every effect that connects or subscribes: so what a parent knows, as
 * the token, is there before its children ask. On a server, where React 18 warns of it, it does nothing.
 */
export const useCommitEffect = typeof document === "undefined" ? useEffect : useLayoutEffect;

/** Keeps what `make` gave for as long as the keys are the same. Unlike `useMemo` it never forgets it earlier. */
export function useKept<T>(make: () => T, ...keys: readonly unknown[]): T {
  const [kept, keep] = useState(() => ({ value: make(), keys }));
  const isSame = kept.keys.length === keys.length && kept.keys.every((key, at) => Object.is(key, keys[at]));
  if (isSame) return kept.value;
  const next = { value: make(), keys };
  keep(next);
  return next.value;
}
