/** A page that a server has rendered becomes live without a mismatch. */

import { act } from "@testing-library/react";
import { hydrateRoot } from "react-dom/client";
import { expect, test, vi } from "vitest";
import { TidingsProvider, useConnectionStatus, useContentEvents } from "../../src/react/index.ts";
import { event, FakeClient } from "../support/fake-client.ts";
import { frame } from "./support.tsx";

function Page() {
  const { status } = useConnectionStatus();
  const { events } = useContentEvents();
  return <p>{`${status} ${events.map(({ title }) => title)}`}</p>;
}

test("hydration begins with what the server showed, and goes on with what is", async () => {
  vi.useFakeTimers();
  const warned = vi.spyOn(console, "error");
  const client = new FakeClient();
  client.state = "open";
  const container = document.createElement("div");
  container.innerHTML = "<p>idle </p>";

  const root = await act(async () =>
    hydrateRoot(
      container,
      <TidingsProvider client={client}>
        <Page />
      </TidingsProvider>,
    ),
  );
  client.deliver(event("content.updated", { title: "a" }));
  frame();

  expect(container.textContent).toBe("open a");
  expect(warned).not.toHaveBeenCalled();
  act(() => root.unmount());
});
