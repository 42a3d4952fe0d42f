/** A real member on a simulated disk and clock, called through its own Methods. */
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { services } from "../../src/api/mod.ts";
import type { Entropy } from "../../src/io/entropy.ts";
import { silentLogger } from "../../src/io/log.ts";
import type { Method, RpcError } from "../../src/io/rpc.ts";
import {
  type LocalStreamCall,
  type LocalUnaryCall,
  startStream,
  startUnary,
  wholeMessage,
} from "../../src/io/rpc_local.ts";
import { systemCrypto } from "../../src/io/system/mod.ts";
import { Member, type MemberOptions } from "../../src/member/mod.ts";
import { Budget } from "../../src/rpc/http2/mod.ts";
import { SimulatedClock } from "./simulated_clock.ts";
import { SimulatedDisk, SimulatedRandom } from "./simulated_disk.ts";

export interface TestMemberOptions {
  readonly seed?: number;
  readonly disk?: SimulatedDisk;
  readonly clock?: SimulatedClock;
  readonly member?: Partial<MemberOptions>;
  readonly txnOperationsMax?: number;
  /** Bytes that responses may hold in memory. */
  readonly budget?: number;
}

/** etcd's defaults, but a small log segment, so that a few requests fill one. */
export const MEMBER_DEFAULTS = {
  crypto: systemCrypto,
  log: silentLogger,
  dataDirectory: "data",
  walDirectory: "",
  walSegmentSize: 16 * 1024,
  tickMs: 100,
  electionTicks: 10,
  snapshotCatchUpEntries: 5000,
  snapshotCount: 10_000,
  walsMax: 5,
  snapshotsMax: 5,
  requestSizeMax: 1.5 * 1024 * 1024,
  compactionBatchLimit: 0,
  compactionSleepMs: 0,
} as const satisfies Partial<MemberOptions>;

/** A call that has been started: its answer, and what its client may still do. */
export interface StartedCall<Response> {
  readonly response: Promise<Response>;
  readonly call: LocalUnaryCall;
}

export class TestMember {
  readonly member: Member;
  readonly methods: ReadonlyMap<string, Method>;
  readonly disk: SimulatedDisk;
  readonly clock: SimulatedClock;
  /** What responses hold in memory. */
  readonly budget: Budget;
  /** Why the member could not go on, once per report; and the first of them. */
  readonly fatal: Error[];
  readonly failure: Promise<Error>;

  private constructor(
    member: Member,
    methods: readonly Method[],
    disk: SimulatedDisk,
    clock: SimulatedClock,
    budget: Budget,
    fatal: Error[],
    failure: Promise<Error>,
  ) {
    this.member = member;
    this.methods = new Map(methods.map((method) => [method.path, method]));
    this.disk = disk;
    this.clock = clock;
    this.budget = budget;
    this.fatal = fatal;
    this.failure = failure;
  }

  /** Starts a member without turning the clock: for disks that may fail. */
  static async begin(options: TestMemberOptions = {}): Promise<TestMember> {
    const { seed = 1, clock = new SimulatedClock() } = options;
    const disk = options.disk ?? new SimulatedDisk({ seed });
    const fatal: Error[] = [];
    const { promise: failure, resolve: onFailure } = Promise.withResolvers<Error>();
    const member = await Member.start({
      ...MEMBER_DEFAULTS,
      disk,
      clock,
      entropy: seededEntropy(seed),
      name: "test",
      peerUrls: ["http://localhost:2380"],
      clientUrls: ["http://localhost:2379"],
      clusterToken: "etcd-cluster",
      warningApplyMs: 100,
      onFatal: (reason) => {
        fatal.push(reason);
        onFailure(reason);
      },
      ...options.member,
    });
    const budget = new Budget(options.budget);
    const methods = services(member, {
      txnOperationsMax: options.txnOperationsMax ?? 128,
      requestSizeMax: 1.5 * 1024 * 1024,
      watchProgressIntervalMs: 600_000,
      budget,
      clock,
      crypto: systemCrypto,
      log: silentLogger,
      warningUnaryMs: 300,
    });
    return new TestMember(member, methods, disk, clock, budget, fatal, failure);
  }

  static start(options: TestMemberOptions = {}): Promise<TestMember> {
    const clock = options.clock ?? new SimulatedClock();
    return clock.run(TestMember.begin({ ...options, clock }));
  }

  /** Calls a unary method and turns the clock until it has answered. */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    return this.clock.run(this.startCall(method, request).response);
  }

  /** Starts a unary call. Its request's buffer is overwritten as soon as the contract allows it. */
  startCall<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): StartedCall<MessageShape<O>> {
    const found = this.#method(method);
    if (found.kind !== "unary") throw new Error(`${found.path} is not unary`);
    const bytes = toBinary(method.input, create(method.input, request));
    const call = startUnary(found, bytes);
    bytes.fill(0xff);
    const response = call.response.then((message) => fromBinary(method.output, wholeMessage(message)));
    // A test may look at the answer much later, or never.
    response.catch(() => {});
    return { response, call };
  }

  /** The error that a call fails with. */
  async errorOf<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<string> {
    try {
      await this.call(method, request);
    } catch (reason) {
      const { code, message } = reason as RpcError;
      return `${code} ${message}`;
    }
    return "no error";
  }

  /** Starts a stream, with the request of a server-streaming method. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O> | DescMethodServerStreaming<I, O>,
    request?: MessageInitShape<I>,
  ): TestStream<I, O> {
    const found = this.#method(method);
    if (found.kind === "unary") throw new Error(`${found.path} is unary`);
    const bytes = request === undefined ? undefined : toBinary(method.input, create(method.input, request));
    const call = startStream(found, bytes);
    bytes?.fill(0xff);
    return new TestStream(this.clock, call, method.input, method.output);
  }

  async stop(): Promise<void> {
    await this.clock.run(this.member.stop());
  }

  /** Ends the process and starts another one on what it left. */
  async restart(): Promise<TestMember> {
    await this.stop();
    const disk = this.disk.kill({ seed: 1 });
    return await TestMember.start({ disk });
  }

  #method(method: { readonly parent: { readonly typeName: string }; readonly name: string }): Method {
    const path = `/${method.parent.typeName}/${method.name}`;
    const found = this.methods.get(path);
    if (found === undefined) throw new Error(`${path} is not served`);
    return found;
  }
}

/** The client's end of a stream. */
export class TestStream<I extends DescMessage, O extends DescMessage> {
  readonly call: LocalStreamCall;
  readonly #clock: SimulatedClock;
  readonly #input: I;
  readonly #output: O;

  constructor(clock: SimulatedClock, call: LocalStreamCall, input: I, output: O) {
    this.#clock = clock;
    this.call = call;
    this.#input = input;
    this.#output = output;
  }

  send(request: MessageInitShape<I>): void {
    this.call.write(toBinary(this.#input, create(this.#input, request)));
  }

  /** The next message; undefined after the last. Turns the clock meanwhile. */
  next(): Promise<MessageShape<O> | undefined> {
    return this.#clock.run(this.receive());
  }

  /** The same, while somebody else turns the clock. */
  async receive(): Promise<MessageShape<O> | undefined> {
    const message = await this.call.receive();
    return message === undefined ? undefined : fromBinary(this.#output, wholeMessage(message));
  }
}

export function seededEntropy(seed: number): Entropy {
  const random = new SimulatedRandom(seed);
  return {
    fill(target) {
      for (let i = 0; i < target.length; i++) target[i] = random.below(256);
      return target;
    },
  };
}
