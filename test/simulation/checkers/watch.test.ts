import { expect, test } from "bun:test";
import type { WatchEvent, WatchRecord } from "../observations.ts";
import { del, put, putEvent, Scribe } from "./scribe.ts";
import { checkWatches } from "./watch.ts";

/** Revisions 2 to 6: a, b, a and b at once, a deleted, c. */
function written(): Scribe {
  const scribe = new Scribe();
  scribe.do(1, put("a", "v1"));
  scribe.do(1, put("b", "v2"));
  scribe.do(1, { kind: "txn", compares: [], success: [put("a", "v3"), put("b", "v4")], failure: [] });
  scribe.do(1, del("a"));
  scribe.do(1, put("c", "v5"));
  return scribe;
}

function violations(scribe: Scribe): string[] {
  return checkWatches(scribe.end()).violations;
}

/** A watcher on everything, whose responses a test may spoil. */
function spoilt(change: (record: WatchRecord, scribe: Scribe) => void): string[] {
  const scribe = written();
  const record = scribe.watch("a", "z", 2, { wantsPrevious: true });
  change(record, scribe);
  return violations(scribe);
}

function eventsOf(record: WatchRecord): WatchEvent[][] {
  return record.responses.map(({ events }) => [...events]);
}

test("watchers that get their events in order are right, whatever their range, start and filters", () => {
  const scribe = written();
  scribe.watch("a", "z", 2);
  scribe.watch("a", "", 3, { wantsPrevious: true });
  scribe.watch("b", "\0", 4, { filters: ["delete"] });
  scribe.watch("a", "b", 1, { filters: ["put"] });
  const fromNow = scribe.watch("a", "z", 0);
  scribe.do(1, put("d", "v6"));
  scribe.send(fromNow, 7);
  scribe.observations.watches.forEach((record) => record.isOpenAtEnd = record === fromNow);
  const report = checkWatches(scribe.end());
  expect(report.violations).toEqual([]);
  expect(report.judged).toEqual({ watchers: 5, events: 12, "progress notifications": 0, resumptions: 0, compacted: 0 });
});

test("an event left out is found", () => {
  expect(spoilt((record) => record.responses.splice(2, 1))).toEqual([
    "watcher 0 (client 1): sent put a=v3@4 of revision 4 where put b=v2@3 of revision 3 was due",
  ]);
});

test("an event left out in the end is found, if the watcher was open then", () => {
  expect(spoilt((record) => record.responses.pop())).toEqual([
    "watcher 0 (client 1): never sent put c=v5@6 of revision 6",
  ]);
  expect(spoilt((record) => {
    record.responses.pop();
    record.isOpenAtEnd = false;
  })).toEqual([]);
});

test("an event twice is found", () => {
  expect(spoilt((record) => record.responses.push(record.responses[5]))[0]).toContain("torn into two responses");
  expect(spoilt((record) => record.responses.push(record.responses[1]))[0]).toContain("where nothing was due");
});

test("events out of order are found", () => {
  expect(
    spoilt((record) => {
      const [created, second, third, ...rest] = record.responses;
      record.responses.splice(0, Infinity, created, third, second, ...rest);
    })[0],
  ).toContain("sent put b=v2@3 of revision 3 where put a=v1@2 of revision 2 was due");
});

test("an event that never happened is found", () => {
  expect(
    spoilt((record) => {
      const [event] = eventsOf(record)[1];
      const wrong = { ...event, event: putEvent("a", "v9", 2) };
      record.responses[1] = { ...record.responses[1], events: [wrong] };
    })[0],
  ).toContain("sent put a=v9@2");
});

test("a revision that is torn apart is found, unless it is said to go on", () => {
  const split = (isFragment: boolean) =>
    spoilt((record) => {
      const response = record.responses[3];
      const [first, second] = response.events;
      record.responses.splice(3, 1, { ...response, events: [first], isFragment }, { ...response, events: [second] });
    });
  expect(split(true)).toEqual([]);
  expect(split(false)[0]).toContain("revision 4 is not complete, put b=v4@4 of revision 4 is missing");
});

test("an event before it happened is found", () => {
  expect(spoilt((record) => record.responses[1] = { ...record.responses[1], moment: 0 })[0]).toContain(
    "before it happened",
  );
});

test("a wrong previous record is found, a compacted one may be missing", () => {
  const without = (compact: boolean, previous?: WatchEvent["previous"]) =>
    spoilt((record, scribe) => {
      if (compact) scribe.do(1, { kind: "compact", revision: 4 });
      const response = record.responses[3];
      const events = response.events.map((event) => ({ ...event, previous }));
      record.responses[3] = { ...response, moment: scribe.moment(), events };
    });
  expect(without(false)[0]).toContain("with a wrong previous record");
  expect(without(true)).toEqual([]);
  expect(without(true, putEvent("a", "v9", 2).kv)[0]).toContain("with a wrong previous record");
});

test("progress is a promise that everything before it was sent", () => {
  const scribe = written();
  const record = scribe.watch("a", "z", 0);
  scribe.do(1, put("d", "v6"));
  record.responses.push(scribe.watchResponse({ kind: "progress" }));
  scribe.send(record, 7);
  expect(violations(scribe)).toEqual([
    "watcher 0 (client 1): progress to revision 7 without put d=v6@7 of revision 7",
  ]);
  const [created, progress, events] = record.responses;
  record.responses.splice(0, Infinity, created, events, progress);
  expect(violations(scribe)).toEqual([]);
});

test("a watcher that resumes where it left off is right, one that skips or repeats is found", () => {
  const resumed = (startRevision: number) => {
    const scribe = written();
    scribe.watch("a", "z", 2, { isOpenAtEnd: false }).responses.splice(3);
    scribe.watch("a", "z", startRevision, { resumes: 0 });
    return violations(scribe);
  };
  expect(resumed(4)).toEqual([]);
  expect(resumed(3)[0]).toContain("resumes at revision 3, which was sent before");
  expect(resumed(5)[0]).toContain("resumes at revision 5 without put a=v3@4");
});

test("a compaction ends a watcher that needs what is gone, and no other", () => {
  const compacted = (startRevision: number, compactRevision: number) => {
    const scribe = written();
    const record = scribe.watch("a", "z", startRevision);
    scribe.do(1, { kind: "compact", revision: 5 });
    record.responses.splice(1);
    record.responses.push(scribe.watchResponse({ kind: "compacted", compactRevision }));
    return violations(scribe);
  };
  expect(compacted(2, 5)).toEqual([]);
  expect(compacted(5, 5)[0]).toContain("ended by the compaction at 5, though it goes on from 5");
  expect(compacted(2, 6)[0]).toContain("a compaction at 6, which nobody asked for");
});

test("responses after the end, or without events, are found", () => {
  expect(spoilt((record, scribe) => {
    record.responses.push(scribe.watchResponse({ kind: "canceled" }), scribe.watchResponse({ kind: "created" }));
  })).toEqual(['watcher 0 (client 1): a response "created" after the watcher\'s end']);
  expect(spoilt((record, scribe) => record.responses.push(scribe.watchResponse({})))).toEqual([
    "watcher 0 (client 1): a response without events",
  ]);
});
