/** Traffic for a panel: what happens in the made-up world, emitted second by second, as a back end does. */

import { createEventEmitter } from "tidings/emitter";
import { World } from "./world.js";

/** @import { Session } from "./session.js" */

/**
 * Emits until it is ended. A server that is away is waited for; one that does not take the token ends it.
 *
 * @param {Session} session
 * @param {(why: Error) => void} ended Called where it cannot go on.
 * @returns {() => Promise<void>} Ends it.
 */
export function emitTraffic({ url, token }, ended) {
  const emitter = createEventEmitter({
    url,
    apiKey: token,
    source: "/harbor",
    // Of a server that was away for long, the newest is what counts.
    queueEvents: 1_000,
    overflow: "drop-oldest",
    onError: (error) => {
      if (error.code !== "unauthorized" && error.code !== "forbidden") return;
      clearInterval(timer);
      ended(error);
    },
  });
  const world = new World();
  void emitter.emitBatch(world.past(Date.now()));
  const timer = setInterval(() => void emitter.emitBatch(world.second(Date.now())), 1000);
  return () => {
    clearInterval(timer);
    return emitter.close();
  };
}
