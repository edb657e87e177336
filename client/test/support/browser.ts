/**
 * A real browser for a test, and a page in it that runs the package's own code: Debian's Chromium driven over its
 * debugging port, with a profile of its own, and a site that serves what Vite bundles from an entry in memory.
 * Every wait has a deadline, and what was started is ended, by the process that was started.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { build, type Rolldown } from "vite";
import { PATIENCE } from "./server.ts";

const BINARY = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";

/** Without a sandbox, since tests may run as root; and silent towards the network. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--hide-scrollbars",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--remote-debugging-port=0",
];

/** What a browser says of refused connections, which many tests want: no fault of the page. */
const NETWORK = /^(WebSocket connection to|Failed to load resource|Access to )/;

export class Chromium {
  /** Uncaught errors, unhandled rejections and `console.error` of all pages so far. */
  readonly faults: string[] = [];
  readonly #browser: Browser;
  readonly #child: ChildProcess;
  readonly #profile: string;

  private constructor(browser: Browser, child: ChildProcess, profile: string) {
    this.#browser = browser;
    this.#child = child;
    this.#profile = profile;
  }

  static async launch(): Promise<Chromium> {
    const profile = await mkdtemp(join(tmpdir(), "tidings-chromium-"));
    const child = spawn(BINARY, [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    process.once("exit", () => child.kill("SIGKILL"));
    const endpoint = await debuggingEndpoint(child);
    // Without Playwright's defaults its own context keeps real tabs: the one behind is hidden.
    const browser = await chromium.connectOverCDP(endpoint, { noDefaults: true, timeout: PATIENCE });
    return new Chromium(browser, child, profile);
  }

  /** A page by itself: it shares storage with no other, and counts as visible and focused always. */
  async page(url: string): Promise<Page> {
    return this.#open(await this.#browser.newContext(), url);
  }

  /** A tab of one window: it shares storage with the other tabs, and is hidden while another is in front. */
  async tab(url: string): Promise<Page> {
    const [context] = this.#browser.contexts();
    if (context === undefined) throw new Error("the browser has no window");
    return this.#open(context, url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = this.#child.exitCode === null ? once(this.#child, "exit") : undefined;
    const session = await this.#browser.newBrowserCDPSession();
    const killed = setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE);
    await session.send("Browser.close").catch(() => this.#child.kill("SIGKILL"));
    await gone;
    clearTimeout(killed);
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }

  async #open(context: BrowserContext, url: string): Promise<Page> {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", (error) => this.faults.push(String(error)));
    page.on("console", (message) => {
      const text = message.text();
      if (message.type() === "error" && !NETWORK.test(text)) this.faults.push(text);
    });
    await page.goto(url);
    return page;
  }
}

export interface SiteOptions {
  /** Which React and which checks the page gets. `development` runs effects twice under StrictMode. */
  readonly mode?: "development" | "production";
  /** Modules to put in the place of others, as for another version of React. */
  readonly alias?: Readonly<Record<string, string>>;
  /** Where everything else that is asked of the site goes, as in `127.0.0.1:43210`: so a server is on its own host. */
  readonly behind?: () => string | undefined;
  /** What else is said with the file at a path. */
  readonly headers?: (path: string) => Readonly<Record<string, string>>;
}

/** A site whose only page has a `<div id="root">` and runs a module. */
export class Site {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Duplex>;

  private constructor(server: Server, sockets: ReadonlySet<Duplex>) {
    this.#server = server;
    this.#sockets = sockets;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  static async serve(entry: URL, options: SiteOptions = {}): Promise<Site> {
    const files = await bundle(fileURLToPath(entry), options);
    const sockets = new Set<Duplex>();
    const server = createServer((incoming, response) => {
      const path = new URL(incoming.url ?? "/", "http://site").pathname;
      const file = files.get(path);
      if (file !== undefined) {
        const headers = { "content-type": contentType(path), ...options.headers?.(path) };
        response.writeHead(200, headers).end(file);
        return;
      }
      const address = options.behind?.();
      if (address === undefined) response.writeHead(404).end();
      else forward(incoming, response, address);
    });
    server.on("upgrade", (incoming: IncomingMessage, socket: Socket, head: Buffer) => {
      sockets.add(socket.once("close", () => sockets.delete(socket)));
      const address = options.behind?.();
      if (address === undefined) socket.destroy();
      else tunnel(incoming, socket, head, address);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Site(server, sockets);
  }

  /** How many WebSockets lead through it to the server behind. */
  get sockets(): number {
    return this.#sockets.size;
  }

  /** Breaks every WebSocket to the server behind, without a word to either side. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    this.cut();
    await closed;
  }
}

const HTML = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Tidings</title>
<div id="root"></div>
<script type="module" src="/page.js"></script>
`;

/** By path, all that the page needs. */
async function bundle(entry: string, { mode = "production", alias = {} }: SiteOptions) {
  const built = await build({
    configFile: false,
    logLevel: "warn",
    mode,
    define: { "process.env.NODE_ENV": JSON.stringify(mode) },
    oxc: { jsx: { development: mode === "development" } },
    resolve: { alias: { ...alias } },
    build: {
      write: false,
      minify: mode === "production",
      sourcemap: "inline",
      rolldownOptions: {
        input: entry,
        output: { entryFileNames: "page.js" },
        onLog,
      },
    },
  });
  const files = new Map<string, string | Uint8Array>([["/", HTML]]);
  for (const part of Array.isArray(built) ? built : [built]) {
    if (!("output" in part)) throw new Error("the bundler watches instead of building");
    for (const file of part.output) {
      files.set(`/${file.fileName}`, file.type === "chunk" ? file.code : file.source);
    }
  }
  return files;
}

/** Says nothing of `"use client"`, which is for frameworks that render on a server, nor of how long it took. */
export const onLog: NonNullable<Rolldown.InputOptions["onLog"]> = (level, log, handle) => {
  if (log.code !== "MODULE_LEVEL_DIRECTIVE" && log.code !== "PLUGIN_TIMINGS") handle(level, log);
};

function contentType(path: string): string {
  if (path.endsWith(".js")) return "text/javascript";
  if (path.endsWith(".css")) return "text/css";
  return path === "/" ? "text/html" : "application/octet-stream";
}

function forward(incoming: IncomingMessage, response: ServerResponse, address: string): void {
  const { method, headers, url } = incoming;
  const onward = request(new URL(url ?? "/", `http://${address}`), { ...(method && { method }), headers });
  onward.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  response.on("close", () => onward.destroy());
  incoming.pipe(onward);
}

/** Hands on an upgrade as it was asked for, and then bytes in both directions until either side ends. */
function tunnel(incoming: IncomingMessage, socket: Socket, head: Buffer, address: string): void {
  const { hostname, port } = new URL(`http://${address}`);
  const onward = connect(Number(port), hostname, () => {
    const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`];
    for (let at = 0; at < incoming.rawHeaders.length; at += 2) {
      lines.push(`${incoming.rawHeaders[at]}: ${incoming.rawHeaders[at + 1]}`);
    }
    onward.write(`${lines.join("\r\n")}\r\n\r\n`);
    onward.write(head);
    onward.pipe(socket);
    socket.pipe(onward);
  });
  onward.on("error", () => socket.destroy()).on("close", () => socket.destroy());
  socket.on("error", () => onward.destroy()).on("close", () => onward.destroy());
}

async function debuggingEndpoint(child: ChildProcess): Promise<string> {
  let said = "";
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      child.kill("SIGKILL");
      reject(new Error(`${BINARY} ${why}: ${said}`));
    };
    const timer = setTimeout(fail, PATIENCE, "did not start in time");
    child.once("error", (error) => fail(String(error)));
    child.once("exit", () => fail("ended"));
    child.stderr?.on("data", (chunk) => {
      said += String(chunk);
      const found = /DevTools listening on (ws:\S+)/.exec(said);
      if (found?.[1] === undefined) return;
      clearTimeout(timer);
      resolve(found[1]);
    });
  });
}
