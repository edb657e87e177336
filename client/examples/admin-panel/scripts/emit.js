/** `npm run traffic <address>`: emits traffic to a server until Ctrl-C. */

import { sessionOfProcess } from "./session.js";
import { emitTraffic } from "./traffic.js";

try {
  const session = sessionOfProcess();
  if (session === null)
    throw new Error("Where to? Give the address of the live page, or set TIDINGS_URL and TIDINGS_TOKEN.");
  emitTraffic(session, giveUp);
  console.log(`Emitting to ${session.url}. Ctrl-C ends it.`);
} catch (error) {
  giveUp(/** @type {Error} */ (error));
}

/** @param {Error} error */
function giveUp(error) {
  console.error(error.message);
  process.exitCode = 1;
}
