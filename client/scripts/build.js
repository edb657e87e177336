/**
 * Builds the package into `dist/`: a module for each source file, with its types, so that an application's bundler
 * leaves out what is not used. Then it says what each entry adds to a page, minified and compressed: at once, and what
 * it loads when that is needed. It fails where the client adds more at once than it may, which is all that a page needs
 * to connect over WebSocket, subscribe, resume and receive; only Server-Sent Events, shared tabs, a kept position and
 * publishing are loaded later.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

/** Bytes at most that the client adds to a page at once, by what compresses them. */
const CLIENT_BYTES_MAX = { brotli: 6_000, gzip: 6_600 };

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
 * Bytes of an entry, minified and compressed: of what it imports at once, and of what it may load later.
 * @param {string} entry
 */
async function sizes(entry) {
  const bundle = await rolldown({
    input: entry,
    external: [/^react/, /^node:/],
    // As in an application, where what is loaded later may import from what is there.
    preserveEntrySignatures: "allow-extension",
    // What `"use client"` is for, no page sees.
    onLog: (level, log, handle) => log.code !== "MODULE_LEVEL_DIRECTIVE" && handle(level, log),
  });
  const { output } = await bundle.generate({ minify: true, comments: { annotation: false } });
  const chunks = new Map(output.flatMap((file) => (file.type === "chunk" ? [[file.fileName, file]] : [])));
  const eager = new Set([...chunks.values()].filter((chunk) => chunk.isEntry));
  for (const chunk of eager) {
    for (const name of chunk.imports) {
      const imported = chunks.get(name);
      if (imported !== undefined) eager.add(imported);
    }
  }
  const later = [...chunks.values()].filter((chunk) => !eager.has(chunk));
  return { atOnce: compressed(eager), later: compressed(later) };
}

/** @param {Iterable<{ code: string }>} chunks */
function compressed(chunks) {
  /** @param {(code: string) => Buffer} compress */
  const bytes = (compress) => [...chunks].reduce((sum, { code }) => sum + compress(code).length, 0);
  return { brotli: bytes(brotliCompressSync), gzip: bytes((code) => gzipSync(code, { level: 9 })) };
}

/** @param {{ brotli: number, gzip: number }} bytes */
function said({ brotli, gzip }) {
  return `${brotli} bytes (gzip: ${gzip})`;
}

compile();
/** @type {{ exports: Record<string, string | { default: string }> }} */
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
for (const [name, entry] of Object.entries(manifest.exports)) {
  if (typeof entry === "string") continue;
  const { atOnce, later } = await sizes(join(root, entry.default));
  console.log(`tidings${name.slice(1)}: ${said(atOnce)} at once, ${said(later)} when needed`);
  if (name !== ".") continue;
  if (CLIENT_BYTES_MAX.brotli < atOnce.brotli || CLIENT_BYTES_MAX.gzip < atOnce.gzip) {
    console.error(`The client may have ${said(CLIENT_BYTES_MAX)} at once.`);
    process.exitCode = 1;
  }
}
