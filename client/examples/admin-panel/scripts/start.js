/**
 * `npm start <address>`: the panel on Vite's server, and traffic for it. Without an address the page asks for one,
 * and there is no traffic.
 */

import { fileURLToPath } from "node:url";
import { createServer } from "vite";
import { sessionOfProcess } from "./session.js";
import { emitTraffic } from "./traffic.js";

try {
  const session = sessionOfProcess();
  if (session !== null) {
    // Vite's configuration reads them.
    process.env.TIDINGS_URL = session.url;
    process.env.TIDINGS_TOKEN = session.token;
  }
  const server = await createServer({ root: fileURLToPath(new URL("..", import.meta.url)) });
  await server.listen();
  server.printUrls();
  if (session !== null) emitTraffic(session, (error) => console.error(`No more traffic: ${error.message}`));
} catch (error) {
  console.error(/** @type {Error} */ (error).message);
  process.exitCode = 1;
}
