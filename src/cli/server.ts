/** A running server made of a configuration: the member, its services, and the port in front of them. */

import { serviceDescriptors, services } from "../api/mod.ts";
import { WATCH_FRAGMENT_OVERHEAD } from "../base/limits.ts";
import { ETCD_VERSION } from "../base/version.ts";
import { ClientServer, type ServerStatus } from "../http/mod.ts";
import { systemClock, systemCrypto, systemDisk, systemEntropy, systemNetwork } from "../io/system/mod.ts";
import { AlarmType } from "../keyspace/mod.ts";
import { type ClusterOrigin, Member } from "../member/mod.ts";
import { Budget } from "../rpc/http2/mod.ts";
import { type Config, notBuilt } from "./config.ts";
import { connectionsFor, descriptorLimit } from "./descriptors.ts";
import { clusterOrigin } from "./initial_cluster.ts";
import type { ProcessLogger } from "./log/mod.ts";
import { memberMetricsText } from "./metrics.ts";
import type { RunningServer } from "./signals.ts";
import { withoutSync } from "./unsafe_disk.ts";

/** etcd's: how often what is left of long leases goes into the log. */
const LEASE_CHECKPOINT_INTERVAL_MS = 300_000;

/** Time that calls in progress get to end when the server stops. */
const DRAIN_MS = 5000;

/** Resolves when clients are served; rejects, with everything closed again, if that cannot be. */
export async function startServer(config: Config, log: ProcessLogger): Promise<RunningServer> {
  // Sockets first: a port in use is found before the data directory is touched.
  const connectionsMax = connectionsFor(descriptorLimit());
  const front = await ClientServer.open({
    network: systemNetwork,
    urls: config.listenClientUrls,
    httpUrls: config.listenClientHttpUrls,
    connectionsMax,
    onConnectionRefused: () => log.warn("too many connections; closed a new one", { limit: connectionsMax }),
  });
  let onFailure: (reason: Error) => void = () => {};
  const failure = new Promise<Error>((resolve) => onFailure = resolve);
  let member: Member;
  try {
    member = await startMember(config, log, onFailure);
  } catch (error) {
    await front.stop(0);
    throw error;
  }
  serve(config, log, member, front);
  return {
    failure,
    async stop(): Promise<void> {
      await front.stop(DRAIN_MS);
      await member.stop();
    },
  };
}

function startMember(config: Config, log: ProcessLogger, onFatal: (reason: Error) => void): Promise<Member> {
  return Member.start({
    disk: config.unsafeNoFsync ? withoutSync(systemDisk) : systemDisk,
    clock: systemClock,
    crypto: systemCrypto,
    entropy: systemEntropy,
    log,
    name: config.name,
    dataDirectory: config.dataDir,
    walDirectory: config.isWalDirDedicated ? config.walDir : "",
    peerUrls: config.initialAdvertisePeerUrls.map((url) => url.text),
    clientUrls: config.advertiseClientUrls.map((url) => url.text),
    clusterToken: config.initialClusterToken,
    origin: () => originOf(config, log),
    forcesNewCluster: config.forcesNewCluster,
    preVote: config.hasPreVote,
    advancesInitialElection: config.advancesInitialElection,
    strictReconfigCheck: config.isReconfigCheckStrict,
    learnersMax: config.maxLearners,
    tickMs: config.heartbeatIntervalMs,
    electionTicks: Math.floor(config.electionTimeoutMs / config.heartbeatIntervalMs),
    snapshotCatchUpEntries: config.snapshotCatchupEntries,
    snapshotCount: config.snapshotCount,
    walsMax: config.maxWals,
    snapshotsMax: config.maxSnapshots,
    requestSizeMax: config.maxRequestBytes,
    warningApplyMs: config.warningApplyDurationMs,
    compactionBatchLimit: config.compactionBatchLimit,
    compactionSleepMs: config.compactionSleepIntervalMs,
    compactionRetention: config.autoCompactionRetention,
    corruptionChecks: {
      checksAtStart: config.hasInitialCorruptCheck,
      intervalMs: config.corruptCheckTimeMs,
      compactionIntervalMs: config.hasCompactHashCheck ? config.compactHashCheckTimeMs : 0,
    },
    leaseCheckpointIntervalMs: config.hasLeaseCheckpoint ? LEASE_CHECKPOINT_INTERVAL_MS : Infinity,
    quotaBackendBytes: config.quotaBackendBytes,
    clearsSpaceAlarm: config.isQuotaAlarmAutoDisarmed,
    bootstrapDefragThresholdSize: config.bootstrapDefragThresholdMegabytes * 1024 * 1024,
    downgradeCheckMs: config.downgradeCheckTimeMs,
    onFatal,
  });
}

function originOf(config: Config, log: ProcessLogger): Promise<ClusterOrigin> {
  return clusterOrigin(config, {
    clock: systemClock,
    crypto: systemCrypto,
    log,
    network: systemNetwork,
    ask: (url) => Promise.reject(notBuilt(url, "a cluster of several members")),
    requestTimeoutMs: 5000 + 2 * config.electionTimeoutMs,
  });
}

/** Opens the doors. */
function serve(config: Config, log: ProcessLogger, member: Member, front: ClientServer): void {
  const clock = systemClock;
  const budget = new Budget();
  const methods = services(member, {
    txnOperationsMax: config.maxTxnOps,
    requestSizeMax: config.maxRequestBytes,
    watchProgressIntervalMs: config.watchProgressNotifyIntervalMs,
    budget,
    clock,
    crypto: systemCrypto,
    log,
    warningUnaryMs: config.warningUnaryRequestDurationMs,
  });
  log.info("ready to serve client requests");
  front.start({
    methods,
    descriptors: serviceDescriptors,
    budget,
    clock,
    maxRequestSize: config.maxRequestBytes + WATCH_FRAGMENT_OVERHEAD,
    hasGateway: config.isGatewayEnabled,
    cors: config.cors,
    hostWhitelist: config.hostWhitelist,
    status: serverStatus(member),
    metrics: () => memberMetricsText(member, budget),
    log,
    http2: {
      concurrentStreamsMax: config.maxConcurrentStreams,
      keepaliveIntervalMs: config.grpcKeepaliveIntervalMs,
      keepaliveTimeoutMs: config.grpcKeepaliveTimeoutMs,
      pingIntervalMinMs: config.grpcKeepaliveMinTimeMs,
    },
  });
  for (const { address, traffic } of front.addresses) {
    log.info("serving client traffic insecurely; this is strongly discouraged!", { traffic, address });
  }
}

function serverStatus(member: Member): ServerStatus {
  return {
    alarms: () => member.keyspace.alarms.list().map(({ type }) => type === AlarmType.NOSPACE ? "NOSPACE" : "CORRUPT"),
    hasLeader: () => member.raftStatus.leader !== 0n,
    isLearner: () => member.isLearner,
    diskStalledMs: () => member.diskStalledMs,
    serializableRead: () => Promise.resolve(),
    linearizableRead: () =>
      new Promise((resolve, reject) =>
        member.linearizableRead((error) =>
          error === undefined ? resolve() : reject(new Error(`etcdserver: ${error.replaceAll("_", " ")}`))
        )
      ),
    versions: () => ({
      server: ETCD_VERSION,
      cluster: member.membership.clusterVersion || undefined,
      storage: member.storageVersion || undefined,
    }),
  };
}
