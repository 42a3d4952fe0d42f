import { expect, test } from "bun:test";
import { hex, utf8 } from "../../../src/base/bytes.ts";
import { systemCrypto, systemEntropy } from "../../../src/io/system/mod.ts";

test("digests are those of the standards", () => {
  expect(hex(systemCrypto.sha1(utf8("abc")))).toBe("a9993e364706816aba3e25717850c26c9cd0d89d");
  expect(hex(systemCrypto.sha256(utf8("abc")))).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

test("entropy fills all of the target, also beyond what one call of the web's generator gives", () => {
  const target = new Uint8Array(200_000);
  expect(systemEntropy.fill(target)).toBe(target);
  expect(target.subarray(199_900).some((byte) => byte !== 0)).toBe(true);
});
