/** Digests by the runtime's own library. */

import { createHash } from "node:crypto";
import type { Crypto } from "../crypto.ts";

function digest(algorithm: string, data: Uint8Array): Uint8Array {
  return new Uint8Array(createHash(algorithm).update(data).digest());
}

export const systemCrypto: Crypto = {
  sha1: (data) => digest("sha1", data),
  sha256: (data) => digest("sha256", data),
  sha256Stream: () => {
    const hash = createHash("sha256");
    return {
      update: (data) => void hash.update(data),
      digest: () => new Uint8Array(hash.digest()),
    };
  },
};
