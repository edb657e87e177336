/** A client loads what few pages need when it is wanted, and says so where that cannot be had. */

import { afterEach, expect, test, vi } from "vitest";
import { createClient } from "../../src/index.ts";
import { FakeSocket } from "../support/socket.ts";

afterEach(() => {
  vi.doUnmock("../../src/client/publishes.ts");
});

const options = { url: "wss://host.example", token: "t1", webSocket: FakeSocket };

test("what publishes and cannot be loaded rejects what was to be published", async () => {
  vi.doMock("../../src/client/publishes.ts", () => {
    throw new Error("404");
  });
  const client = createClient(options);
  await expect(client.publish({ type: "content.updated", data: {} })).rejects.toMatchObject({
    code: "connection_failed",
  });
  client.stop();
});
