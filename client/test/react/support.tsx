/** What the tests of the hooks have in common: a place in the page, a provider with a fake client, and frames. */

import { act } from "@testing-library/react";
import type { ReactNode } from "react";
import { vi } from "vitest";
import { TidingsProvider } from "../../src/react/index.ts";
import type { FakeClient } from "../support/fake-client.ts";

/** A wrapper that gives `client` to the hooks below it. */
export function withClient(client: FakeClient) {
  return ({ children }: { children: ReactNode }) => (
    <TidingsProvider client={client}>{children}</TidingsProvider>
  );
}

/** Lets a frame pass in which everything that waited for it is rendered. Needs fake timers. */
export function frame(): void {
  act(() => void vi.advanceTimersToNextFrame());
}
