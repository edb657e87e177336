/** The package as it would be published: built, judged, and installed into empty projects that use it. */

import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { preview } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Chromium } from "../support/browser.ts";
import { API_KEY, numbered, Server, token } from "../support/server.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Installing takes its time on a busy machine. */
const TIMEOUT = 180_000;

let folder: string;
let packed: string;

/** Runs a command to its end: what it says. It fails with what it said. */
async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const options = { cwd, timeout: TIMEOUT };
  const { stdout, stderr } = await promisify(execFile)(command, args, options).catch((error) => {
    throw new Error(`${command} ${args.join(" ")}: ${error.message}\n${error.stdout}`);
  });
  return stdout + stderr;
}

/** A project that had nothing installed before the package and `others`, those in the versions of this repository. */
async function project(name: string, ...others: string[]): Promise<string> {
  const path = join(folder, name);
  await cp(fileURLToPath(new URL(`projects/${name}`, import.meta.url)), path, { recursive: true });
  await writeFile(join(path, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const { devDependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const pinned = ["typescript", ...others].map((other) => `${other}@${devDependencies[other]}`);
  await run(path, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", packed, ...pinned);
  return path;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidings-package-"));
  await run(root, "node", "scripts/build.js");
  await run(root, "npm", "pack", "--ignore-scripts", "--pack-destination", folder);
  const [name = ""] = await readdir(folder);
  packed = join(folder, name);
}, 2 * TIMEOUT);

afterAll(() => rm(folder, { recursive: true, force: true }));

/** The README's examples that a project is to compile, as files of it. */
async function examples(path: string, wanted: (code: string) => boolean): Promise<void> {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const found = [...readme.matchAll(/^```(tsx?)\n(.*?)^```$/gms)].filter(([, , code = ""]) => wanted(code));
  expect(found).not.toHaveLength(0);
  for (const [index, [, ending, code = ""]] of found.entries()) {
    await writeFile(join(path, `readme-${index}.${ending}`), code);
  }
}

const isForNode = (code: string) => code.includes('"tidings/emitter"');

test("publint finds nothing", async () => {
  expect(await run(root, "node_modules/.bin/publint", "--strict", packed)).toContain("All good!");
});

test("arethetypeswrong finds nothing, for a package of ES modules", async () => {
  await run(root, "node_modules/.bin/attw", packed, "--profile", "esm-only");
});

test(
  "an empty Node project compiles with it and the README's examples, emits and receives",
  async () => {
    const path = await project("node", "@types/node");
    await examples(path, isForNode);
    await run(path, "node_modules/.bin/tsc");
    await using server = await Server.start();

    const said = await run(path, "node", "dist/main.js", server.url, API_KEY, token());

    expect(said).toBe("content.deleted: Hello\ninvalid_event\n");
  },
  2 * TIMEOUT,
);

test(
  "an empty Vite project compiles with it and the README's examples, builds, and shows events in a browser",
  async () => {
    const react = ["react", "react-dom", "@types/react", "@types/react-dom"];
    const path = await project("vite", "vite", ...react);
    await examples(path, (code) => !isForNode(code));
    await run(path, "node_modules/.bin/tsc");
    await run(path, "node_modules/.bin/vite", "build");
    await using server = await Server.start({ ORIGINS: "*" });
    await server.publish(numbered(1));
    const site = await preview({ root: path, configFile: false, preview: { host: "127.0.0.1", port: 0 } });
    // The site is closed once no browser is connected to it.
    await using _ = { [Symbol.asyncDispose]: () => site.close() };
    await using chromium = await Chromium.launch();
    const query = new URLSearchParams({ url: server.url, token: token() });

    const page = await chromium.page(`${site.resolvedUrls?.local[0]}?${query}`);
    await page.getByText("Number 1").waitFor();
    await server.publish(numbered(2));

    await page.getByText("Number 2").waitFor();
    expect(chromium.faults).toEqual([]);
  },
  2 * TIMEOUT,
);
