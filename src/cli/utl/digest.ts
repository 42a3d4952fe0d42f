/** The SHA-256 at the end of a saved snapshot: such a file is 32 bytes longer than a whole number of sectors. */

import { FILE_READ_SIZE } from "../../base/limits.ts";
import { equalBytes } from "../../base/bytes.ts";
import type { File } from "../../io/disk.ts";
import { systemCrypto } from "../../io/system/mod.ts";
import { CommandError, ExitCode } from "../command_line/mod.ts";

export const DIGEST_SIZE = 32;
const SECTOR_SIZE = 512;

export function hasDigest(fileSize: number): boolean {
  return fileSize % SECTOR_SIZE === DIGEST_SIZE;
}

/** Compares the digest, if there is one. Throws a CommandError with etcdutl's text. */
export async function checkDigest(file: File): Promise<void> {
  const size = await file.size();
  if (!hasDigest(size)) return;
  const expected = new Uint8Array(DIGEST_SIZE);
  await file.read(expected, size - DIGEST_SIZE);
  const hash = systemCrypto.sha256Stream();
  const block = new Uint8Array(Math.min(FILE_READ_SIZE, size));
  for (let position = 0; position < size - DIGEST_SIZE;) {
    const wanted = Math.min(block.length, size - DIGEST_SIZE - position);
    const count = await file.read(block.subarray(0, wanted), position);
    if (count === 0) throw new CommandError(ExitCode.ERROR, `${file.path} has become shorter while it was read`);
    hash.update(block.subarray(0, count));
    position += count;
  }
  const found = hash.digest();
  if (equalBytes(found, expected)) return;
  throw new CommandError(ExitCode.ERROR, `expected sha256 [${expected.join(" ")}], got [${found.join(" ")}]`);
}
