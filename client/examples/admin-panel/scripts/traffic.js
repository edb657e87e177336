/**
 * Emits plausible traffic to a server until it is ended: `npm run traffic <address>`. A server that restarts is
 * waited for; what its token does not allow any more ends it.
 */

import { pathToFileURL } from "node:url";
import { createEventEmitter } from "tidings/emitter";
import { readSession, sessionFromEnvironment } from "./session.js";
import { World } from "./world.js";

/** @import { Session } from "./session.js" */

/**
 * @param {Session} session
 * @param {(why: Error) => void} ended Called where it cannot go on.
 */
export function emitTraffic({ url, token }, ended) {
  const emitter = createEventEmitter({
    url,
    apiKey: token,
    source: "/harbor",
    // Of a server that is away for long, the newest is what counts.
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
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const address = process.argv[2];
  const session = address === undefined ? sessionFromEnvironment() : readSession(address);
  if (session === null) {
    throw new Error(
      "Where to? `npm run traffic <the address of the live page>`, or set TIDINGS_URL and TIDINGS_TOKEN.",
    );
  }
  console.log(`Emitting to ${session.url}. End it with Ctrl-C.`);
  emitTraffic(session, (error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
