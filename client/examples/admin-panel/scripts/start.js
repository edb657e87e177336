/**
 * `npm start <address>`: the panel on Vite's server, and traffic for it. Without an address the page asks for one,
 * and there is no traffic.
 */

import { createServer } from "vite";
import { readSession, sessionFromEnvironment } from "./session.js";
import { emitTraffic } from "./traffic.js";

const address = process.argv[2];
const session = address === undefined ? sessionFromEnvironment() : readSession(address);
if (session !== null) {
  // Vite's configuration reads them.
  process.env.TIDINGS_URL = session.url;
  process.env.TIDINGS_TOKEN = session.token;
  emitTraffic(session, (error) => console.error(`No more traffic: ${error.message}`));
}
const server = await createServer({ root: new URL("..", import.meta.url).pathname });
await server.listen();
server.printUrls();
