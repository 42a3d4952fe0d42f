/** A running server made of a configuration: the member, its services, and the ports in front of them. */

import { serviceDescriptors, services } from "../api/mod.ts";
import { WATCH_FRAGMENT_OVERHEAD } from "../base/limits.ts";
import { ETCD_VERSION } from "../base/version.ts";
import { ClientServer, type ServerStatus } from "../http/mod.ts";
import { systemClock, systemCrypto, systemDisk, systemEntropy, systemNetwork } from "../io/system/mod.ts";
import { AlarmType } from "../keyspace/mod.ts";
import { type ClusterOrigin, Member, MEMBER_ERROR_TEXTS } from "../member/mod.ts";
import { idText } from "../membership/mod.ts";
import { type PeerStatistics, type Transport, urlAsker } from "../peer/mod.ts";
import { Budget } from "../rpc/http2/mod.ts";
import type { Config } from "./config.ts";
import { connectionsFor, descriptorLimit } from "./descriptors.ts";
import { clusterOrigin } from "./initial_cluster.ts";
import type { ProcessLogger } from "./log/mod.ts";
import { memberMetricsText } from "./metrics.ts";
import { PeerPort } from "./peer_port.ts";
import type { RunningServer } from "./signals.ts";
import { withoutSync } from "./unsafe_disk.ts";

/** etcd's: how often what is left of long leases goes into the log. */
const LEASE_CHECKPOINT_INTERVAL_MS = 300_000;

/** When the server stops: time to hand the leadership over, and then for calls in progress to end. */
const HANDOVER_MS = 400;
const DRAIN_MS = 700;

/** Resolves when clients are served; rejects, with everything closed again, if that cannot be. */
export async function startServer(config: Config, log: ProcessLogger): Promise<RunningServer> {
  const { promise: failure, resolve: onFailure } = Promise.withResolvers<Error>();
  // Sockets first: a port in use is found before the data directory is touched.
  const peers = await PeerPort.open(config, log);
  let front: ClientServer | undefined;
  let member: Member | undefined;
  try {
    front = await openFront(config, log);
    member = await startMember(config, log, peers.transport, onFailure);
    // As in etcd, clients wait until this member takes part in its cluster.
    await Promise.race([member.whenReady, failure.then((reason) => Promise.reject(reason))]);
  } catch (error) {
    await front?.stop(0);
    // What closing may find wrong besides is not worth more than the reason.
    await member?.stop().catch(() => {});
    await peers.close();
    throw error;
  }
  serve(config, log, member, front, peers.transport.statistics);
  log.info("now serving peer/client/metrics", { "local-member-id": idText(member.id), ...urlFields(config) });
  const running = { config, log, member, front, peers };
  let stopping: Promise<void> | undefined;
  return { failure, stop: () => stopping ??= stopAll(running) };
}

interface Running {
  readonly config: Config;
  readonly log: ProcessLogger;
  readonly member: Member;
  readonly front: ClientServer;
  readonly peers: PeerPort;
}

/** The leadership first, while clients are still answered: then they find a new leader when they are turned away. */
async function stopAll({ config, log, member, front, peers }: Running): Promise<void> {
  const fields = { name: config.name, "data-dir": config.dataDir, ...urlFields(config) };
  log.info("closing etcd server", fields);
  await Promise.race([member.handOver(), delay(HANDOVER_MS)]);
  await front.stop(DRAIN_MS);
  await member.stop();
  await peers.close();
  log.info("closed etcd server", fields);
}

function urlFields(config: Config) {
  const texts = (urls: Config["listenPeerUrls"]) => urls.map((url) => url.text);
  return {
    "initial-advertise-peer-urls": texts(config.initialAdvertisePeerUrls),
    "listen-peer-urls": texts(config.listenPeerUrls),
    "advertise-client-urls": texts(config.advertiseClientUrls),
    "listen-client-urls": texts(config.listenClientUrls),
  };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => systemClock.after(ms, resolve));
}

function openFront(config: Config, log: ProcessLogger): Promise<ClientServer> {
  const connectionsMax = connectionsFor(descriptorLimit());
  return ClientServer.open({
    network: systemNetwork,
    urls: config.listenClientUrls,
    httpUrls: config.listenClientHttpUrls,
    connectionsMax,
    onConnectionRefused: () => log.warn("too many connections; closed a new one", { limit: connectionsMax }),
  });
}

function startMember(
  config: Config,
  log: ProcessLogger,
  transport: Transport,
  onFatal: (reason: Error) => void,
): Promise<Member> {
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
    transport,
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
    ask: urlAsker({ network: systemNetwork, clock: systemClock }),
    requestTimeoutMs: 5000 + 2 * config.electionTimeoutMs,
  });
}

/** Opens the doors. */
function serve(
  config: Config,
  log: ProcessLogger,
  member: Member,
  front: ClientServer,
  peerStatistics: PeerStatistics,
): void {
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
    metrics: () => memberMetricsText(member, peerStatistics, budget),
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
          error === undefined ? resolve() : reject(new Error(MEMBER_ERROR_TEXTS[error]))
        )
      ),
    versions: () => ({
      server: ETCD_VERSION,
      cluster: member.membership.clusterVersion || undefined,
      storage: member.storageVersion || undefined,
    }),
  };
}
