/** The client port in front of a real member on a simulated disk, on a free port of loopback. */

import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { serviceDescriptors, services } from "../../src/api/mod.ts";
import { ClientServer, type ClientServerOptions, type ListenUrl } from "../../src/http/mod.ts";
import { silentLogger } from "../../src/io/log.ts";
import type { Method } from "../../src/io/rpc.ts";
import { systemClock, systemCrypto, systemEntropy, systemNetwork } from "../../src/io/system/mod.ts";
import { Member } from "../../src/member/mod.ts";
import { Budget } from "../../src/rpc/http2/mod.ts";
import { SimulatedDisk } from "../harness/simulated_disk.ts";

const REQUEST_SIZE_MAX = 1.5 * 1024 * 1024;

export interface TestServer {
  readonly port: number;
  readonly url: string;
  readonly budget: Budget;
  readonly server: ClientServer;
  stop(): Promise<void>;
}

export function tcpUrl(port: number, host = "127.0.0.1"): ListenUrl {
  return { scheme: "http", text: `http://${host}:${port}`, host, port: String(port), path: "" };
}

/** Serves `methods` only, without a member, for tests that make their own. */
export async function startDoors(
  methods: readonly Method[],
  options: Partial<ClientServerOptions> = {},
  urls: readonly ListenUrl[] = [tcpUrl(0)],
  httpUrls: readonly ListenUrl[] = [],
  opened?: ClientServer,
): Promise<TestServer> {
  const server = opened ?? await ClientServer.open({ network: systemNetwork, urls, httpUrls });
  const budget = options.budget ?? new Budget();
  server.start({
    methods,
    descriptors: serviceDescriptors,
    clock: systemClock,
    budget,
    maxRequestSize: REQUEST_SIZE_MAX + 512 * 1024,
    hasGateway: true,
    cors: ["*"],
    hostWhitelist: ["*"],
    log: silentLogger,
    metrics: () => "keelson_test 1\n",
    status: {
      alarms: () => [],
      hasLeader: () => true,
      isLearner: () => false,
      diskStalledMs: () => 0,
      serializableRead: () => Promise.resolve(),
      linearizableRead: () => Promise.resolve(),
      versions: () => ({ server: "3.7.1", cluster: "3.7.0", storage: "3.7.0" }),
    },
    ...options,
  });
  const port = Number(server.addresses[0].address.split(":")[1]);
  return { port, url: `http://127.0.0.1:${port}`, budget, server, stop: () => server.stop(100) };
}

/** Serves a fresh member with all its services. */
export async function startServer(options: Partial<ClientServerOptions> = {}): Promise<TestServer> {
  const budget = new Budget();
  const member = await Member.start({
    disk: new SimulatedDisk({ seed: 1 }),
    clock: systemClock,
    crypto: systemCrypto,
    entropy: systemEntropy,
    log: silentLogger,
    name: "default",
    dataDirectory: "data",
    walDirectory: "",
    peerUrls: ["http://127.0.0.1:2380"],
    clientUrls: ["http://127.0.0.1:2379"],
    clusterToken: "etcd-cluster",
    tickMs: 100,
    electionTicks: 10,
    snapshotCatchUpEntries: 5000,
    snapshotCount: 10_000,
    walsMax: 5,
    snapshotsMax: 5,
    requestSizeMax: REQUEST_SIZE_MAX,
    compactionBatchLimit: 0,
    compactionSleepMs: 0,
    warningApplyMs: 100,
    onFatal: (reason) => {
      throw reason;
    },
  });
  const methods = services(member, {
    txnOperationsMax: 128,
    requestSizeMax: REQUEST_SIZE_MAX,
    watchProgressIntervalMs: 600_000,
    budget,
    clock: systemClock,
    crypto: systemCrypto,
    log: silentLogger,
    warningUnaryMs: 300,
  });
  const doors = await startDoors(methods, { budget, ...options });
  const stop = async () => {
    await doors.stop();
    await member.stop();
  };
  return { ...doors, stop };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface RawRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** The answer is taken to be complete after so many lines, and given up. */
  readonly lines?: number;
}

/** One HTTP/1.1 request with its path sent as it is. */
export function ask(url: string, path: string, request: RawRequest = {}): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const call = httpRequest(
      { hostname, port, path, method: request.method ?? "GET", headers: request.headers, agent: false },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        const done = () => resolve({ status: response.statusCode!, headers: response.headers, body });
        response.on("data", (text: string) => {
          body += text;
          if (request.lines === undefined || body.split("\n").length <= request.lines) return;
          done();
          call.destroy();
        });
        response.on("end", done);
        response.on("error", reject);
      },
    );
    call.on("error", reject);
    call.end(request.body);
  });
}

/** A connection for bytes that no HTTP client would send. */
export class RawConnection {
  readonly socket: Socket;
  text = "";
  isClosed = false;
  #wake: (() => void) | undefined;

  constructor(target: number | string) {
    this.socket = typeof target === "number" ? connect(target, "127.0.0.1") : connect(target);
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => {
      this.text += text;
      this.#wake?.();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.isClosed = true;
      this.#wake?.();
    });
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Resolves when what was received satisfies `condition` or the server closed; rejects after a few seconds. */
  async until(condition: (text: string) => boolean): Promise<string> {
    const deadlineMs = performance.now() + 5000;
    while (!condition(this.text) && !this.isClosed) {
      if (performance.now() > deadlineMs) throw new Error(`still waiting, with ${JSON.stringify(this.text)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 200);
      });
    }
    return this.text;
  }

  /** Resolves when the server has closed the connection. */
  closed(): Promise<string> {
    return this.until(() => false);
  }
}
