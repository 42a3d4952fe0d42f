/** The rows of a member under load: how each load is made and what it has to reach. */
import { delay, type Server } from "../interop/process.ts";
import { atLeast, atMost, bound, cpu, type Group, latency, type Row, throughput } from "./definitions.ts";
import { benchmark, cpuMicroseconds, type Figures, load, longestTurnMs, memory, withCpu } from "./measure.ts";

const rss = { title: "RSS", unit: "MB", digits: 0, bar: atMost(1) };
const anonymous = { title: "RssAnon", unit: "MB", digits: 0 };
/** A page is "20 x as fast" when it takes a twentieth of the time. */
const pageTime = latency("time per page", atMost(1 / 20));

export const MEMBER_ROWS: Row[] = [
  {
    name: "put",
    title: "put, 256 B, 100 clients on 10 connections",
    figures: { throughput: throughput(atLeast(1.7)), cpu: cpu(atMost(0.45)), p99: latency("p99", atMost(1)) },
  },
  {
    name: "put-deadline",
    title: "the same with a 5 s deadline on every call",
    figures: { throughput: throughput(atLeast(1.7)), cpu: cpu(atMost(0.45)), p99: latency("p99", atMost(1)) },
  },
  {
    name: "put-one",
    title: "put, 1 client",
    figures: { p50: latency("p50", atMost(1)), p99: latency("p99"), cpu: cpu() },
  },
  {
    name: "range",
    title: "linearizable range of one key, 100 clients",
    figures: { throughput: throughput(atLeast(1.8)), cpu: cpu(atMost(0.35)), p99: latency("p99") },
  },
  {
    name: "txn",
    title: "txn (compare and put), 100 clients",
    figures: { throughput: throughput(atLeast(1.7)), cpu: cpu(), p99: latency("p99") },
  },
  {
    name: "million",
    title: "keys of 32 B with 256-B values, sequential",
    figures: { throughput: throughput(atLeast(1.5)), rss, anonymous, cpu: cpu() },
  },
  { name: "page-head", title: "page of 1,000 keys at the head", figures: { page: pageTime } },
  {
    name: "page-walk",
    title: "pages at one revision, 1,000 puts/s beside",
    figures: {
      page: pageTime,
      pages: { title: "pages read", unit: "", digits: 0 },
      puts: { title: "puts beside", unit: "/s", digits: 0 },
    },
  },
  { name: "page-old", title: "page of 1,000 keys at an old revision", figures: { page: pageTime } },
  {
    name: "restart",
    title: "restart after kill -9 with those keys",
    figures: {
      ready: { title: "until a linearizable read", unit: "s", digits: 2 },
      rss: { title: "RSS", unit: "MB", digits: 0 },
      anonymous,
    },
  },
  {
    name: "registry",
    title: "keys /registry/<namespace>/<random>",
    figures: { throughput: throughput(atLeast(1.5)), rss, anonymous, cpu: cpu() },
  },
  {
    name: "watch",
    title: "10 streams of 1,000 watchers on 100 keys, 200 puts/s",
    figures: {
      p99: latency("delivery p99", atMost(1)),
      p50: latency("delivery p50"),
      efficiency: { title: "events per server CPU second", unit: "", digits: 0, bar: atLeast(1.5) },
    },
  },
  {
    name: "large-range",
    title: "100 MB range beside a watch on its connection",
    figures: {
      p99: latency("watch p99", bound(50)),
      p50: latency("watch p50"),
      turn: latency("longest loop turn", bound(20)),
      ranges: { title: "ranges", unit: "/s", digits: 1 },
    },
  },
];

const CLIENTS = ["--clients", "100", "--conns", "10"];
const LARGE_KEY_SIZE = 32;
const VALUE_SIZE = 256;
/** As many keys as the store may hold, not the tool's default of one. */
const KEY_SPACE = 100_000;

export const MEMBER_GROUPS: Group[] = [
  {
    rows: ["put", "put-deadline", "put-one", "range", "txn"],
    once: false,
    async run(server, scale, wanted) {
      const figures: Record<string, Figures> = {};
      const shape = ["--val-size", String(VALUE_SIZE), "--key-space-size", String(KEY_SPACE)];
      const total = ["--total", String(scale.putTotal)];
      await benchmark(server, [...CLIENTS, "put", ...shape, "--total", String(scale.warmUpTotal)]);
      if (wanted("put")) {
        figures["put"] = await withCpu(
          server,
          scale.putTotal,
          () => benchmark(server, [...CLIENTS, "put", ...shape, ...total]),
        );
      }
      if (wanted("put-deadline")) {
        figures["put-deadline"] = await withCpu(server, scale.putTotal, async () => {
          const r = await load(server, "put", [...CLIENTS, ...shape, ...total, "--timeout", "5s"]);
          return { throughput: r.perSecond, p99: r.p99Ms };
        });
      }
      if (wanted("put-one")) {
        const single = ["--clients", "1", "--conns", "1", "put", ...shape, "--total", String(scale.singleTotal)];
        figures["put-one"] = await withCpu(server, scale.singleTotal, () => benchmark(server, single));
      }
      if (wanted("range")) {
        // The tool's keys are random bytes; a key of our own certainly exists.
        await load(server, "put", [
          "--clients",
          "1",
          "--conns",
          "1",
          "--total",
          "1",
          "--keys",
          "sequential",
          "--key-size",
          "8",
        ]);
        const range = [...CLIENTS, "range", "00000000", "--consistency", "l", "--total", String(scale.rangeTotal)];
        figures["range"] = await withCpu(server, scale.rangeTotal, () => benchmark(server, range));
      }
      if (wanted("txn")) {
        figures["txn"] = await withCpu(server, scale.putTotal, async () => {
          const r = await load(server, "txn", [...CLIENTS, ...shape, ...total]);
          return { throughput: r.perSecond, p99: r.p99Ms };
        });
      }
      return figures;
    },
  },
  {
    rows: ["million", "page-head", "page-walk", "page-old", "restart"],
    once: true,
    async run(server, scale, wanted) {
      const figures: Record<string, Figures> = {};
      const size = ["--key-size", String(LARGE_KEY_SIZE)];
      const count = String(scale.largeKeys);
      const keys = [...size, "--val-size", String(VALUE_SIZE), "--key-space-size", count];
      figures["million"] = await withCpu(server, scale.largeKeys, async () => {
        const { throughput } = await benchmark(server, [
          ...CLIENTS,
          "put",
          ...keys,
          "--sequential-keys",
          "--total",
          count,
        ]);
        return { throughput: throughput! };
      });
      Object.assign(figures["million"], await settledMemory(server));
      const pages = (mode: string, more: string[]) =>
        load(server, "pages", [
          ...["--mode", mode, "--keys", count, ...size, "--limit", `${scale.pageSeconds}s`],
          ...more,
        ]);
      if (wanted("page-head")) {
        figures["page-head"] = { page: (await pages("head", ["--count", String(scale.pages)])).meanMs };
      }
      if (wanted("page-walk")) {
        const r = await pages("walk", ["--count", String(scale.largeKeys / 1000), "--put-rate", "1000"]);
        figures["page-walk"] = { page: r.meanMs, pages: r.count, puts: r.extra ?? 0 };
      }
      if (wanted("page-old")) {
        await benchmark(server, [...CLIENTS, "put", ...keys, "--total", String(scale.oldRevisions)]);
        const r = await pages("old", ["--count", String(scale.pages), "--back", String(scale.oldRevisions)]);
        figures["page-old"] = { page: r.meanMs };
      }
      if (wanted("restart")) {
        await server.stop("SIGKILL");
        const beganMs = Date.now();
        const started = server.start();
        const ready = await load(server, "ready", []);
        await started;
        const { rss, anonymous } = await settledMemory(server);
        figures["restart"] = { ready: (ready.readyUnixMs! - beganMs) / 1000, rss: rss!, anonymous: anonymous! };
      }
      return figures;
    },
  },
  {
    rows: ["registry"],
    once: true,
    async run(server, scale) {
      const count = String(scale.largeKeys);
      const keys = [
        "--keys",
        "registry",
        "--val-size",
        String(VALUE_SIZE),
        "--key-space-size",
        count,
        "--total",
        count,
      ];
      const figures = await withCpu(server, scale.largeKeys, async () => {
        return { throughput: (await load(server, "put", [...CLIENTS, ...keys])).perSecond };
      });
      return { registry: { ...figures, ...(await settledMemory(server)) } };
    },
  },
  {
    rows: ["watch"],
    once: false,
    async run(server, scale) {
      let before = 0;
      const r = await load(server, "watch", ["--rate", "200", "--duration", `${scale.watchSeconds}s`], () => {
        before = cpuMicroseconds(server.pid);
      });
      if (r.extra !== undefined && r.extra > 0) throw new Error(`${r.extra} events were not delivered`);
      const seconds = (cpuMicroseconds(server.pid) - before) / 1e6;
      return { watch: { p99: r.p99Ms, p50: r.p50Ms, efficiency: r.count / seconds } };
    },
  },
  {
    rows: ["large-range"],
    once: false,
    async run(server, scale) {
      const megabytes = String(scale.largeRangeMegabytes);
      const r = await load(server, "large-range", [
        "--megabytes",
        megabytes,
        "--duration",
        `${scale.largeRangeSeconds}s`,
      ]);
      const figures: Figures = { p99: r.p99Ms, p50: r.p50Ms, ranges: (r.extra ?? 0) / r.seconds };
      const turn = await longestTurnMs(server);
      if (turn !== undefined) figures["turn"] = turn;
      return { "large-range": figures };
    },
  },
];

/** Long enough for what a load has left behind to be collected or flushed. */
const SETTLE_MS = 3_000;

async function settledMemory(server: Server): Promise<Figures> {
  await delay(SETTLE_MS);
  const { rssMegabytes, anonymousMegabytes } = memory(server.pid);
  return { rss: rssMegabytes, anonymous: anonymousMegabytes };
}
