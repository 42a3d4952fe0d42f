/** A running server made of a configuration: the member, its services, and the doors to them. */

import { createServer } from "node:net";
import { services } from "../api/mod.ts";
import { WATCH_FRAGMENT_OVERHEAD } from "../base/limits.ts";
import { systemClock, systemCrypto, systemDisk, systemEntropy } from "../io/system/mod.ts";
import { Member } from "../member/mod.ts";
import { GrpcRouter } from "../rpc/grpc/mod.ts";
import { Http2Server, SocketStream } from "../rpc/http2/mod.ts";
import { checkBootstrap, type Config } from "./config.ts";
import type { ProcessLogger } from "./log/mod.ts";
import type { RunningServer } from "./signals.ts";
import { withoutSync } from "./unsafe_disk.ts";

/** Time that calls in progress get to end when the server stops. */
const DRAIN_MS = 5000;

/** Resolves when clients are served; rejects, with everything closed again, if that cannot be. */
export async function startServer(config: Config, log: ProcessLogger, isNew: boolean): Promise<RunningServer> {
  if (isNew) checkBootstrap(config);
  let onFailure: (reason: Error) => void = () => {};
  const failure = new Promise<Error>((resolve) => onFailure = resolve);
  const clock = systemClock;
  const member = await Member.start({
    disk: config.unsafeNoFsync ? withoutSync(systemDisk) : systemDisk,
    clock,
    crypto: systemCrypto,
    entropy: systemEntropy,
    log,
    name: config.name,
    dataDirectory: config.dataDir,
    walDirectory: config.isWalDirDedicated ? config.walDir : "",
    peerUrls: config.initialAdvertisePeerUrls.map((url) => url.text),
    clientUrls: config.advertiseClientUrls.map((url) => url.text),
    clusterToken: config.initialClusterToken,
    tickMs: config.heartbeatIntervalMs,
    electionTicks: Math.floor(config.electionTimeoutMs / config.heartbeatIntervalMs),
    snapshotCatchUpEntries: config.snapshotCatchupEntries,
    requestSizeMax: config.maxRequestBytes,
    compactionBatchLimit: config.compactionBatchLimit,
    compactionSleepMs: config.compactionSleepIntervalMs,
    onFatal: onFailure,
  });
  const methods = services(member, {
    txnOperationsMax: config.maxTxnOps,
    requestSizeMax: config.maxRequestBytes,
    watchProgressIntervalMs: config.watchProgressNotifyIntervalMs,
  });
  const application = new GrpcRouter(methods, {
    clock,
    receiveMessageSizeMax: config.maxRequestBytes + WATCH_FRAGMENT_OVERHEAD,
  });
  const http2 = new Http2Server({
    application,
    clock,
    concurrentStreamsMax: config.maxConcurrentStreams,
    keepaliveIntervalMs: config.grpcKeepaliveIntervalMs,
    keepaliveTimeoutMs: config.grpcKeepaliveTimeoutMs,
    pingIntervalMinMs: config.grpcKeepaliveMinTimeMs,
  });
  const { host, port } = config.listenClientUrls[0];
  const listener = createServer({ allowHalfOpen: true }, (socket) => http2.serve(new SocketStream(socket)));
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(Number(port), host === "localhost" ? "127.0.0.1" : host, resolve);
  });
  log.info("ready to serve client requests");
  return {
    failure,
    async stop(): Promise<void> {
      listener.close();
      await http2.drain(DRAIN_MS);
      await member.stop();
    },
  };
}
