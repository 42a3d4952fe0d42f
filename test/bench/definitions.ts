/** What a row of the table is, how much of everything is measured, and the bars that several rows share. */
import type { Server } from "../interop/process.ts";
import type { Cluster } from "./cluster.ts";
import type { Figures } from "./measure.ts";

/** How much of everything. */
export interface Scale {
  readonly rounds: number;
  /** Puts before the first measured one: neither a garbage collector nor a JIT has settled in a server just started. */
  readonly warmUpTotal: number;
  readonly putTotal: number;
  readonly singleTotal: number;
  readonly rangeTotal: number;
  /** Keys of the large store; the revisions that "old" goes back. */
  readonly largeKeys: number;
  readonly oldRevisions: number;
  /** Pages read at random places, and the seconds after which reading pages stops. */
  readonly pages: number;
  readonly pageSeconds: number;
  readonly watchSeconds: number;
  readonly largeRangeSeconds: number;
  readonly largeRangeMegabytes: number;
  /** Seconds of puts at a fixed rate beside each kind of background work. */
  readonly besideSeconds: number;
  /** Longest wait for files that are no longer needed to be removed; etcd looks every 30 s. */
  readonly restSeconds: number;
  readonly snapshotSaves: number;
  /** How often a leader is killed: rounds, and kills in each. */
  readonly killRounds: number;
  readonly killsPerRound: number;
}

export const FULL: Scale = {
  rounds: 3,
  warmUpTotal: 20_000,
  putTotal: 100_000,
  singleTotal: 5_000,
  rangeTotal: 200_000,
  largeKeys: 1_000_000,
  oldRevisions: 100_000,
  pages: 100,
  pageSeconds: 60,
  watchSeconds: 10,
  largeRangeSeconds: 10,
  largeRangeMegabytes: 100,
  besideSeconds: 20,
  restSeconds: 40,
  snapshotSaves: 3,
  killRounds: 5,
  killsPerRound: 4,
};

/** Ratios in about a minute, for continuous integration: too short to be quoted. */
export const SMOKE: Scale = {
  rounds: 1,
  warmUpTotal: 5_000,
  putTotal: 20_000,
  singleTotal: 1_000,
  rangeTotal: 40_000,
  largeKeys: 50_000,
  oldRevisions: 20_000,
  pages: 20,
  pageSeconds: 3,
  watchSeconds: 3,
  largeRangeSeconds: 3,
  largeRangeMegabytes: 100,
  besideSeconds: 3,
  restSeconds: 3,
  snapshotSaves: 1,
  killRounds: 1,
  killsPerRound: 3,
};

/** A figure is compared as subject / etcd ("ratio"), or held to a bound of its own ("value"). */
export interface Bar {
  readonly kind: "ratio" | "value";
  readonly least?: number;
  readonly most?: number;
}

export interface FigureDefinition {
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  readonly bar?: Bar;
  /** The worst of what was measured stands for all of it, not the median. */
  readonly isWorst?: boolean;
}

export interface Row {
  readonly name: string;
  readonly title: string;
  readonly figures: Record<string, FigureDefinition>;
}

export const atLeast = (least: number): Bar => ({ kind: "ratio", least });
export const atMost = (most: number): Bar => ({ kind: "ratio", most });
export const bound = (most: number): Bar => ({ kind: "value", most });

export const throughput = (bar?: Bar): FigureDefinition => ({
  title: "throughput",
  unit: "/s",
  digits: 0,
  ...(bar && { bar }),
});
export const latency = (title: string, bar?: Bar): FigureDefinition => ({
  title,
  unit: "ms",
  digits: 2,
  ...(bar && { bar }),
});
export const cpu = (bar?: Bar): FigureDefinition => ({
  title: "server CPU per request",
  unit: "us",
  digits: 1,
  ...(bar && { bar }),
});

/** Rows that share a server: each round of a group starts one afresh, runs its rows in order and stops it. */
export interface Group {
  readonly rows: string[];
  /** Groups that fill a large store run once, whatever the rounds. */
  readonly once: boolean;
  run(server: Server, scale: Scale, wanted: (row: string) => boolean): Promise<Record<string, Figures>>;
}

/** Rows that share a cluster of three: as above. */
export interface ClusterGroup {
  readonly rows: string[];
  rounds(scale: Scale): number;
  /** A row that measures several times within a round gives the figures of each time. */
  runOnCluster(
    cluster: Cluster,
    scale: Scale,
    wanted: (row: string) => boolean,
  ): Promise<Record<string, Figures | Figures[]>>;
}
