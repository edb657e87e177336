/**
 * A real server for a test: the binary `tidings` with a known secret and API key on a port that the system chose.
 * It can be killed and started again on the same port. Every wait has a deadline, and a test that used a server
 * ends it, by the process that it started.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export const SECRET = "0123456789abcdef0123456789abcdef";
export const API_KEY = "the-key-of-the-back-end";

/** How long a test waits for what must come, in ms; only a broken server makes it wait so long. */
export const PATIENCE = 30_000;

/** Settings by the names of their variables without `TIDINGS_`, as in `HEARTBEAT__INTERVAL_MS`. */
export type Settings = Readonly<Record<string, string>>;

export interface PublishResult {
  readonly id: string;
  readonly offset: number;
  readonly duplicate: boolean;
}

/** The claims of a token beside `sub` and `exp`. */
export interface Claims {
  readonly [claim: string]: unknown;
  readonly tidings?: {
    readonly subscribe?: readonly string[];
    readonly publish?: readonly string[];
    readonly filter?: Readonly<Record<string, unknown>>;
    readonly maxPriority?: string;
    readonly admin?: boolean;
  };
}

const BINARY =
  process.env.TIDINGS_BIN ?? fileURLToPath(new URL("../../../target/debug/tidings", import.meta.url));

export class Server {
  readonly #settings: Settings;
  #child: ChildProcess | undefined;
  #address = "127.0.0.1:0";
  #log = "";

  private constructor(settings: Settings) {
    this.#settings = settings;
  }

  static async start(settings: Settings = {}): Promise<Server> {
    const server = new Server(settings);
    await server.#launch();
    return server;
  }

  /** As in `127.0.0.1:43210`. */
  get address(): string {
    return this.#address;
  }

  /** As in `http://127.0.0.1:43210`. */
  get url(): string {
    return `http://${this.#address}`;
  }

  /** What it has logged so far, over all its lives. */
  get log(): string {
    return this.#log;
  }

  /** Ends it without a word, as a crash does. Its log, which is in memory, is gone. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Asks it to drain, and waits until it has gone. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Starts it again where it was. */
  async restart(): Promise<void> {
    await this.#launch();
  }

  /** Publishes events in one request, by default with the API key. */
  async publish(events: object | readonly object[], key = API_KEY): Promise<PublishResult[]> {
    const response = await this.fetch("/v1/events", { method: "POST", body: JSON.stringify(events) }, key);
    const text = await response.text();
    if (!response.ok) throw new Error(`publishing failed with ${response.status}: ${text}`);
    return (JSON.parse(text) as { results: PublishResult[] }).results;
  }

  /** A request with a key or a token, by default the API key. */
  async fetch(path: string, init: RequestInit = {}, key = API_KEY): Promise<Response> {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    return fetch(new URL(path, this.url), { headers, signal: AbortSignal.timeout(PATIENCE), ...init });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #launch(): Promise<void> {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const said = await this.#try();
      if (said === undefined) return;
      // Another process may hold the port for a moment between two lives.
      const taken = said.includes("in use");
      if (!taken || deadline <= Date.now()) throw new Error(`the server did not start: ${said}`);
    }
  }

  /** Starts the process: what it said instead, where it does not listen. */
  async #try(): Promise<string | undefined> {
    const child = spawn(BINARY, ["serve", "--listen", this.#address], {
      env: environment(this.#settings),
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    const address = await new Promise<string | undefined>((resolve, reject) => {
      const timer = setTimeout(resolve, PATIENCE, undefined);
      const settle = (address?: string) => {
        clearTimeout(timer);
        resolve(address);
      };
      child.once("error", reject);
      child.once("exit", () => settle());
      child.stderr.on("data", (chunk) => {
        this.#log += String(chunk);
        said += String(chunk);
      });
      let out = "";
      child.stdout.on("data", (chunk) => {
        out += String(chunk);
        const found = /listening on (\S+)\n/.exec(out);
        if (found) settle(found[1]);
      });
    });
    if (address === undefined) {
      child.kill("SIGKILL");
      return said || "it said nothing";
    }
    this.#address = address;
    this.#child = child;
    return undefined;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit", { signal: AbortSignal.timeout(PATIENCE) });
    child.kill(signal);
    await gone;
  }
}

/** A token that the server accepts, by default of user `u1`, good for an hour, which may subscribe to everything. */
export function token({
  sub = "u1",
  seconds = 3600,
  ...claims
}: Claims & { sub?: string; seconds?: number } = {}): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, iat: now, exp: now + seconds, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** An event with a number, which its `contentId` shows. */
export function numbered(number: number, type = "blog") {
  return {
    type: "content.published" as const,
    data: {
      contentId: `c${number}`,
      title: `Number ${number}`,
      type,
      status: "published" as const,
      authorId: "u1",
      publishedAt: "2026-01-31T08:00:00Z",
    },
  };
}

/** Waits for a condition that only time can bring, with a deadline. */
export async function waitFor(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  while (!(await condition())) {
    if (deadline <= Date.now()) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The settings, and none of the variables that happen to be set here. */
function environment(settings: Settings): NodeJS.ProcessEnv {
  const ours = ([name]: [string, unknown]) => name.startsWith("TIDINGS_") || name === "WEBSOCKET_PORT";
  const others = Object.entries(process.env).filter((entry) => !ours(entry));
  const wanted = Object.entries({ JWT_SECRET: SECRET, API_KEYS: API_KEY, ...settings });
  return Object.fromEntries([...others, ...wanted.map(([name, value]) => [`TIDINGS_${name}`, value])]);
}
