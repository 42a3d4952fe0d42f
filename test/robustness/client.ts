/** Calls by method and message, on one connection. */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Connection, type ConnectionOptions, LOST } from "./connection.ts";

/** An answer that is not OK, or none at all (LOST). */
export class CallError extends Error {
  readonly code: number;

  constructor(method: string, code: number, message: string) {
    super(`${method}: ${code === LOST ? "lost" : `code ${code}`}: ${message}`);
    this.code = code;
  }

  /** Whether the call took effect is not known. */
  get isLost(): boolean {
    return this.code === LOST;
  }
}

export class Client {
  readonly connection: Connection;

  static async open(port: number, options?: ConnectionOptions): Promise<Client> {
    return new Client(await Connection.open(port, options));
  }

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Throws CallError. */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const { status, answer } = await this.connection.unary(pathOf(method), encode(method.input, request));
    if (status.code !== 0 || answer === undefined) throw new CallError(method.name, status.code, status.message);
    return fromBinary(method.output, answer);
  }

  close(): void {
    this.connection.close();
  }
}

export function pathOf(method: { readonly name: string; readonly parent: { readonly typeName: string } }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

export function encode<I extends DescMessage>(schema: I, message: MessageInitShape<I>): Uint8Array {
  return toBinary(schema, create(schema, message));
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

export function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** The end of the range of all keys with this prefix (ASCII). */
export function prefixEnd(prefix: string): Uint8Array {
  const end = bytes(prefix);
  end[end.length - 1]!++;
  return end;
}
