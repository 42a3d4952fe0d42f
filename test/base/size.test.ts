import { expect, test } from "bun:test";
import { formatSize } from "../../src/base/size.ts";

test("sizes are written as etcd writes them", () => {
  const sizes = [0, 9, 10, 999, 1000, 1500, 20480, 2147483648, 8589934592, 82854982, 1e15];
  expect(sizes.map(formatSize)).toEqual(
    ["0 B", "9 B", "10 B", "999 B", "1.0 kB", "1.5 kB", "20 kB", "2.1 GB", "8.6 GB", "83 MB", "1.0 PB"],
  );
});
