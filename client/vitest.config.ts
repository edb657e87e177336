/**
 * Tests in Node; those of browsers drive one themselves. Time that a test needs is its own, so the limits are wide.
 * The tests of the hooks run with both versions of React that the package supports.
 */

import { fileURLToPath } from "node:url";
import type { Alias } from "vite";
import { configDefaults, defineConfig, type TestProjectInlineConfiguration } from "vitest/config";

const REACT_18 = fileURLToPath(new URL("node_modules/tidings-test-react-18/node_modules/", import.meta.url));

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 30_000 } },
    restoreMocks: true,
    unstubGlobals: true,
    projects: [
      {
        extends: true,
        // The example publishes as an application does.
        resolve: {
          alias: { "tidings/emitter": fileURLToPath(new URL("src/emitter/index.ts", import.meta.url)) },
        },
        test: {
          name: "node",
          environment: "node",
          include: ["test/**/*.test.{ts,tsx}"],
          exclude: [...configDefaults.exclude, "test/react/**"],
        },
      },
      hooks("19"),
      hooks("18", [
        { find: /^(react|react-dom|@testing-library\/react)(?=\/|$)/, replacement: `${REACT_18}$1` },
      ]),
    ],
  },
});

function hooks(version: string, alias: Alias[] = []): TestProjectInlineConfiguration {
  return {
    extends: true,
    resolve: { alias },
    test: {
      name: `react ${version}`,
      environment: "happy-dom",
      include: ["test/react/*.test.{ts,tsx}"],
      setupFiles: ["test/react/setup.ts"],
      env: { REACT: version },
    },
  };
}
