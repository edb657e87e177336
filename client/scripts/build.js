/**
 * Builds the package into `dist/`: a module for each source file, with its types, so that an application's bundler
 * leaves out what is not used. Then it says what each entry adds to a page, minified and compressed, at once and with
 * what it loads when it is needed, and fails where the client adds more at once than it may.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

/** Bytes at most that the client adds to a page at once. */
const CLIENT_BYTES_MAX = 6_000;

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");

function compile() {
  rmSync(dist, { recursive: true, force: true });
  const tsc = join(root, "node_modules/.bin/tsc");
  execFileSync(tsc, ["--project", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
  // The compiler names the modules of this package as they are now in code, but not in types.
  for (const name of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".d.ts")) continue;
    const file = join(dist, name);
    writeFileSync(file, readFileSync(file, "utf8").replaceAll(/(["'])(\.[^"']*)\.tsx?\1/g, "$1$2.js$1"));
  }
  for (const name of ["LICENSE-APACHE", "LICENSE-MIT"])
    copyFileSync(join(root, "..", name), join(dist, name));
}

/**
 * Bytes of an entry, minified and compressed: of what it imports at once, and of all that it may load.
 * @param {string} entry
 */
async function sizes(entry) {
  const bundle = await rolldown({
    input: entry,
    external: [/^react/, /^node:/],
    preserveEntrySignatures: "strict",
    // What `"use client"` is for, no page sees.
    onLog: (level, log, handle) => log.code !== "MODULE_LEVEL_DIRECTIVE" && handle(level, log),
  });
  const { output } = await bundle.generate({ minify: true });
  const chunks = new Map(output.flatMap((file) => (file.type === "chunk" ? [[file.fileName, file]] : [])));
  const eager = new Set([...chunks.values()].filter((chunk) => chunk.isEntry));
  for (const chunk of eager) {
    for (const name of chunk.imports) {
      const imported = chunks.get(name);
      if (imported !== undefined) eager.add(imported);
    }
  }
  /** @param {Iterable<{ code: string }>} parts */
  const bytes = (parts) => [...parts].reduce((sum, { code }) => sum + gzipSync(code, { level: 9 }).length, 0);
  return { atOnce: bytes(eager), inAll: bytes(chunks.values()) };
}

compile();
/** @type {{ exports: Record<string, string | { default: string }> }} */
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
for (const [name, entry] of Object.entries(manifest.exports)) {
  if (typeof entry === "string") continue;
  const { atOnce, inAll } = await sizes(join(root, entry.default));
  console.log(`tidings${name.slice(1)}: ${atOnce} bytes at once, ${inAll} in all`);
  if (name === "." && CLIENT_BYTES_MAX < atOnce) {
    console.error(`The client may have ${CLIENT_BYTES_MAX} bytes at once.`);
    process.exitCode = 1;
  }
}
