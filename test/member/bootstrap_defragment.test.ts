import { expect, test } from "bun:test";
import { defragmentAtStart } from "../../src/member/bootstrap_defragment.ts";
import type { MemberDatabase } from "../../src/member/mod.ts";
import { RecordingLog } from "../harness/recording_log.ts";

/** The database is 100 bytes large, of which 40 are in use. */
function passes(thresholdSize: number, failure?: Error): { count: number; log: RecordingLog } {
  const log = new RecordingLog();
  let count = 0;
  const database: MemberDatabase = {
    databaseSize: 100,
    databaseSizeInUse: 40,
    openSnapshot: () => Promise.reject(new Error("not asked for")),
    defragment: () => {
      count++;
      return failure === undefined ? Promise.resolve() : Promise.reject(failure);
    },
  };
  defragmentAtStart(database, thresholdSize, log);
  return { count, log };
}

test("a start defragments where it frees as much as was asked for", () => {
  expect(passes(60).count).toBe(1);
  const { count, log } = passes(61);
  expect(count).toBe(0);
  expect(log.lines[0]).toMatchObject({
    message: "Skipping defragmentation",
    fields: { "current-db-size-bytes": 100, "bootstrap-defrag-threshold": "61 B" },
  });
  expect(passes(0)).toMatchObject({ count: 0, log: { lines: [] } });
});

test("a pass that fails is told", async () => {
  const { log } = passes(1, new Error("disk full"));
  await Promise.resolve().then(() => {});
  expect(log.with("failed to defragment")[0].fields).toEqual({ error: "disk full" });
});
