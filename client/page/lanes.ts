/** The four lanes, most urgent first. */

import type { Lane } from "../src/types.ts";

export const LANES: readonly Lane[] = ["critical", "high", "normal", "low"];
