/** Calls to one machine of a cluster, as its clients make them. */
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
import { silentLogger } from "../../src/io/log.ts";
import type { Method, RpcError } from "../../src/io/rpc.ts";
import {
  callUnary,
  type LocalStreamCall,
  metadataFromPairs,
  startStream,
  type StreamMethod,
  type UnaryMethod,
} from "../../src/io/rpc_local.ts";
import { systemCrypto } from "../../src/io/system/mod.ts";
import { Budget } from "../../src/rpc/http2/mod.ts";
import type { Cluster, ClusterMember } from "./cluster.ts";

interface NamedMethod {
  readonly parent: { readonly typeName: string };
  readonly name: string;
}

export class ClusterClient {
  readonly #cluster: Cluster;
  readonly #methods: ReadonlyMap<string, Method>;
  /** Whether calls ask for a member that has a leader. */
  wantsLeader = false;

  constructor(cluster: Cluster, machine: ClusterMember) {
    this.#cluster = cluster;
    const methods = services(machine.running, {
      txnOperationsMax: 128,
      requestSizeMax: 1.5 * 1024 * 1024,
      watchProgressIntervalMs: 600_000,
      budget: new Budget(),
      clock: cluster.clock,
      crypto: systemCrypto,
      log: silentLogger,
      warningUnaryMs: 300,
    });
    this.#methods = new Map(methods.map((method) => [method.path, method]));
  }

  /** Calls a unary method, and lets time pass until it has answered. */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I> = {} as MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const bytes = toBinary(method.input, create(method.input, request));
    const answer = callUnary(this.#method(method) as UnaryMethod, bytes, this.#options);
    return fromBinary(method.output, await this.#cluster.wait(answer));
  }

  /** "code text" of the error that a call fails with; "none" if it does not. */
  async errorOf<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I> = {} as MessageInitShape<I>,
  ): Promise<string> {
    try {
      await this.call(method, request);
      return "none";
    } catch (reason) {
      return errorText(reason);
    }
  }

  /** Starts a stream with its first message. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O> | DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
  ): LocalStreamCall {
    const found = this.#method(method) as StreamMethod;
    const bytes = toBinary(method.input, create(method.input, request));
    if (found.kind === "server_streaming") return startStream(found, bytes, this.#options);
    const call = startStream(found, undefined, this.#options);
    call.write(bytes);
    return call;
  }

  /** What a stream ends with, once it does: "end", or "code text" of its error. Messages before are passed over. */
  async endOf(call: LocalStreamCall): Promise<string> {
    try {
      for (;;) if (await call.receive() === undefined) return "end";
    } catch (reason) {
      return errorText(reason);
    }
  }

  get #options() {
    return { metadata: metadataFromPairs(this.wantsLeader ? [["hasleader", "true"]] : []) };
  }

  #method({ parent, name }: NamedMethod): Method {
    const path = `/${parent.typeName}/${name}`;
    const found = this.#methods.get(path);
    if (found === undefined) throw new Error(`${path} is not served`);
    return found;
  }
}

function errorText(reason: unknown): string {
  const { code, message } = reason as RpcError;
  return `${code} ${message}`;
}
