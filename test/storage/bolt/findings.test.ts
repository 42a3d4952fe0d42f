import { describe, expect, test } from "bun:test";
import { utf8 } from "../../../src/base/bytes.ts";
import { encodeMeta, type Meta } from "../../../src/storage/bolt/format.ts";
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

/** The file with a list of free pages in a page of its own at the end. */
function withList({ bytes, root, highWater }: PlainFile, free: readonly number[]): Uint8Array {
  const longer = new Uint8Array(bytes.length + PAGE);
  longer.set(bytes);
  const view = new DataView(longer.buffer, bytes.length);
  view.setUint32(0, highWater, true);
  view.setUint16(8, 16, true);
  view.setUint16(10, free.length, true);
  free.forEach((page, i) => view.setUint32(16 + 8 * i, page, true));
  const meta = {
    pageSize: PAGE,
    root: root / PAGE,
    sequence: 0n,
    freelist: highWater,
    highWater: highWater + 1,
    txid: 4,
  };
  longer.set(encodeMeta(0, meta, undefined));
  longer.set(encodeMeta(1, { ...meta, txid: 3 }, undefined), PAGE);
  return longer;
}

// In the words of bbolt's own check, which was asked about the same files. (It goes on below a page it has come to twice, and
// says nothing of free pages that are not there.)
describe("the check finds", () => {
  test("a page that belongs to two branches' elements", async () => {
    const file = await plainFile();
    file.view.setUint32(file.branch + 2 * ELEMENT + 8, 2, true);
    expect(await (await opened(file.bytes)).check()).toEqual([
      `page 2: multiple references (stack: [${file.branch / PAGE} 2])`,
    ]);
  });

  test("keys that are not in order, or not where the branch says", async () => {
    const file = await plainFile();
    const { bytes, view, leaf, branch } = file;
    const key = (node: number, i: number) => {
      const element = node + ELEMENT * (1 + i);
      return element + view.getUint32(element + (node === leaf ? 4 : 0), true);
    };
    bytes[key(leaf, 1)] = 1;
    bytes[key(branch, 1)] = 1;
    const hexKey = (first: string, number: string) => `${first}${"00".repeat(5)}${number}${"00".repeat(9)}`;
    const [inLeaf, inBranch] = [`Stack: [${branch / PAGE} 2]`, `Stack: [${branch / PAGE} 3]`];
    expect(await (await opened(bytes)).check()).toEqual([
      `key[2]=(hex)${hexKey("00", "0002")} on leaf page(2) needs to be > (found <) than previous element ` +
      `(hex)${hexKey("01", "0001")}. ${inLeaf}`,
      `the first key[0]=(hex)${hexKey("00", "0011")} on leaf page(3) needs to be >= the key in the ancestor ` +
      `(${hexKey("01", "0011")}). ${inBranch}`,
    ]);
  });

  test("pages that are in the list of free pages twice, in use, not there, or missing from it", async () => {
    const file = await plainFile();
    expect(await (await opened(withList(file, []))).check()).toEqual([]);
    const database = await opened(withList(file, [2, 3, 3, 5000]));
    const found = await database.check();
    expect(found).toEqual([
      "page 3: already freed",
      "page 5000: freed, but there is no such page",
      "page 2: reachable freed",
      "page 3: reachable freed",
    ]);
    const meta = { ...database.meta, highWater: database.highWater - 1, freelist: 3, txid: 9 };
    expect((await (await opened(withMeta(file.bytes, meta))).check())[0]).toContain("page 3: invalid freelist page");
  });

  test("a list of free pages that is longer than its page", async () => {
    const file = await plainFile();
    for (const [count, first, found] of [[600, 3, 600], [0xffff, 0x7fffffff, 0x7fffffff]] as const) {
      const bytes = withList(file, [first]);
      new DataView(bytes.buffer).setUint16(file.bytes.length + 10, count, true);
      const problem = `db, page ${file.highWater}: there is no room for ${found} free pages`;
      expect(await (await opened(bytes)).check()).toContain(problem);
    }
  });

  test("a tree that is deeper than any", async () => {
    const pages = 200;
    const bytes = new Uint8Array(pages * PAGE);
    const view = new DataView(bytes.buffer);
    for (let page = 2; page < pages; page++) {
      const start = page * PAGE;
      view.setUint32(start, page, true);
      view.setUint16(start + 8, 1, true);
      view.setUint16(start + 10, 1, true);
      view.setUint32(start + ELEMENT, 16, true);
      view.setUint32(start + ELEMENT + 4, 1, true);
      view.setUint32(start + ELEMENT + 8, page + 1, true);
    }
    const meta = { pageSize: PAGE, root: 2, sequence: 0n, freelist: undefined, highWater: pages, txid: 9 };
    const database = await opened(withMeta(bytes, meta));
    expect(await database.check()).toEqual(["db, page 67: it is more than 64 levels below its root"]);
    await expect(database.bucketNames()).rejects.toThrow("page 66: it is more than 64 levels below its bucket's root");
    await expect(database.bucket(utf8("a"))).rejects.toThrow(
      "page 66: it is more than 64 levels below its bucket's root",
    );
  });

  test("pages that are neither in use nor free", async () => {
    const file = await plainFile();
    const bytes = withList(file, []);
    const { meta } = await opened(bytes);
    const longer = new Uint8Array(bytes.length + PAGE);
    longer.set(bytes);
    const last = meta.highWater;
    expect(await (await opened(withMeta(longer, { ...meta, highWater: last + 1, txid: 9 }))).check()).toEqual([
      `page ${last}: unreachable unfreed`,
    ]);
  });
});

function withMeta(bytes: Uint8Array, meta: Meta): Uint8Array {
  bytes.set(encodeMeta(1, meta, undefined), PAGE);
  return bytes;
}
