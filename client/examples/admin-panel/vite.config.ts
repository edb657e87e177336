/** Vite serves the page, and the panel's small back end beside it. */

import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { backend } from "./scripts/backend.js";
import { sessionFromEnvironment } from "./scripts/session.js";

export default defineConfig({
  plugins: [react(), backend(sessionFromEnvironment())],
  // `tidings` is linked from the folder that it is developed in, which has a React of its own beside it.
  resolve: { dedupe: ["react", "react-dom"] },
});
