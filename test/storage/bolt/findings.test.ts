import { describe, expect, test } from "bun:test";
import { utf8 } from "../../../src/base/bytes.ts";
import { encodeMeta } from "../../../src/storage/bolt/format.ts";
import { SimulatedRandom } from "../../harness/simulated_disk.ts";
import { create, newDisk, opened, openForWriting, readAll, successiveRows } from "./support.ts";

const PAGE = 4096;

/** A file without checksums: in the bucket "key" a branch as the root, and its leaves. */
async function plainFile() {
  const random = new SimulatedRandom(1);
  const rows = successiveRows(random, 0, 300).map(({ key }) => ({ key, value: new Uint8Array(200) }));
  const database = await create(
    await openForWriting(newDisk(1)),
    new Map([["key", rows], ["small", rows.slice(0, 2)]]),
  );
  const bytes = new Uint8Array(database.size);
  await database.snapshot().read(bytes, 0);
  const view = new DataView(bytes.buffer);
  const branch = (await database.bucket(utf8("key")))!.rootPage;
  const root = database.root.rootPage;
  return { bytes, view, branch: branch * PAGE, leaf: 2 * PAGE, root: root * PAGE, highWater: database.highWater };
}

type PlainFile = Awaited<ReturnType<typeof plainFile>>;

/** The first element of a leaf or branch. */
const ELEMENT = 16;

const FINDINGS: readonly [string, (file: PlainFile) => void, string][] = [
  ["another page's id", ({ view, leaf }) => view.setUint32(leaf, 5, true), "page 2: it says that it is page 5"],
  [
    "an id of 64 bits",
    ({ view, leaf }) => view.setUint32(leaf + 4, 1, true),
    "page 2: it says that it is page 4294967298",
  ],
  [
    "more pages than there are",
    ({ view, leaf }) => view.setUint32(leaf + 12, 1000, true),
    "page 2: it goes on for 1000 pages",
  ],
  [
    "another type",
    ({ view, leaf }) => view.setUint16(leaf + 8, 16, true),
    "page 2: a page of a bucket's tree is expected here, not of type freelist",
  ],
  ["an unknown type", ({ view, leaf }) => view.setUint16(leaf + 8, 3, true), "not of type unknown<03>"],
  [
    "more rows than have room",
    ({ view, leaf }) => view.setUint16(leaf + 10, 256, true),
    "page 2: there is no room for 256 elements",
  ],
  ["a leaf without rows", ({ view, leaf }) => view.setUint16(leaf + 10, 0, true), "page 2: it is empty"],
  ["a branch without children", ({ view, branch }) => view.setUint16(branch + 10, 0, true), "it is empty"],
  [
    "a key inside the elements",
    ({ view, leaf }) => view.setUint32(leaf + ELEMENT + 4, 0, true),
    "page 2: the key of element 0 (17 bytes) is not inside the page",
  ],
  [
    "a key behind the page",
    ({ view, leaf }) => view.setUint32(leaf + ELEMENT + 4, 5000, true),
    "page 2: the key of element 0 (17 bytes) is not inside the page",
  ],
  [
    "a key that goes on behind it",
    ({ view, leaf }) => view.setUint32(leaf + ELEMENT + 8, 4000, true),
    "page 2: the key of element 0 (4000 bytes) is not inside the page",
  ],
  [
    "a key without bytes",
    ({ view, leaf }) => view.setUint32(leaf + ELEMENT + 8, 0, true),
    "page 2: the key of element 0 is empty",
  ],
  [
    "a value that goes on behind it",
    ({ view, leaf }) => view.setUint32(leaf + ELEMENT + 12, 0xffffffff, true),
    "page 2: the value of element 0 (4294967295 bytes) ends behind the page",
  ],
  [
    "a branch's key behind the page",
    ({ view, branch }) => view.setUint32(branch + ELEMENT, 5000, true),
    "the key of element 0 (17 bytes) is not inside the page",
  ],
  [
    "rows that are not in order",
    ({ bytes, view, leaf }) => bytes[leaf + ELEMENT + view.getUint32(leaf + ELEMENT + 4, true)] = 255,
    "page 2: the key of element 1 is not greater than the one before it",
  ],
  [
    "a child that is no page",
    ({ view, branch, highWater }) => view.setUint32(branch + ELEMENT + 8, highWater, true),
    "there is no such page: the high-water mark is at",
  ],
  [
    "a meta as a child",
    ({ view, branch }) => view.setUint32(branch + ELEMENT + 8, 1, true),
    "page 1: there is no such page",
  ],
  [
    "a bucket without a header",
    ({ view, root }) => view.setUint32(root + ELEMENT + 12, 15, true),
    "a bucket of 15 bytes",
  ],
  [
    "an inline bucket without a page",
    ({ view, root }) => view.setUint32(root + 2 * ELEMENT + 12, 31, true),
    "an inline bucket without a page header",
  ],
  [
    "an inline bucket that is a branch",
    ({ view, root }) => view.setUint16(inlineOf(view, root) + 8, 1, true),
    "page 0: an inline bucket of type branch",
  ],
  [
    "an inline bucket with too many rows",
    ({ view, root }) => view.setUint16(inlineOf(view, root) + 10, 100, true),
    "page 0: there is no room for 100 elements",
  ],
];

/** Where the page of the second bucket of the root is. */
function inlineOf(view: DataView, root: number): number {
  const element = root + 2 * ELEMENT;
  return element + view.getUint32(element + 4, true) + view.getUint32(element + 8, true) + 16;
}

describe("reading a file without checksums finds", () => {
  for (const [what, damage, message] of FINDINGS) {
    test(what, async () => {
      const file = await plainFile();
      damage(file);
      // There are bytes behind the last page, which are not to be read either.
      const longer = new Uint8Array(file.bytes.length + 3 * PAGE);
      longer.set(file.bytes);
      const database = await opened(longer);
      await expect(readAll(database)).rejects.toThrow(message);
    });
  }

  test("that its end is missing, however far away it is said to be", async () => {
    const { bytes } = await plainFile();
    for (const highWater of [bytes.length / PAGE + 1, 2 ** 33, 2 ** 40, 2 ** 51]) {
      const meta = { pageSize: PAGE, root: 2, sequence: 0n, freelist: undefined, highWater, txid: 9 };
      bytes.set(encodeMeta(0, meta, undefined));
      bytes.set(encodeMeta(1, { ...meta, txid: 8 }, undefined), PAGE);
      await expect(opened(bytes)).rejects.toThrow(
        highWater < 2 ** 51 ? "its end is missing" : `high-water mark ${highWater}`,
      );
    }
  });

  test("a second meta of pages of another size", async () => {
    const { bytes } = await plainFile();
    const meta = { pageSize: 1024, root: 2, sequence: 0n, freelist: undefined, highWater: 4, txid: 9 };
    bytes.fill(0, 0, PAGE);
    bytes.set(encodeMeta(1, meta, undefined), PAGE);
    await expect(opened(bytes)).rejects.toThrow("page 1: pages of 1024 bytes, but it is at 4096");
  });
});
