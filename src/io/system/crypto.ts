/** Digests by the runtime's own library. */

import { createHash } from "node:crypto";
import type { Crypto } from "../crypto.ts";

function digest(algorithm: string, data: Uint8Array): Uint8Array {
  return new Uint8Array(createHash(algorithm).update(data).digest());
}

export const systemCrypto: Crypto = {
  sha1: (data) => digest("sha1", data),
  sha256: (data) => digest("sha256", data),
};
