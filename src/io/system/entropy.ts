/** The system's random generator. */

import { randomFillSync } from "node:crypto";
import type { Entropy } from "../entropy.ts";

export const systemEntropy: Entropy = {
  fill(target) {
    randomFillSync(target);
    return target;
  },
};
