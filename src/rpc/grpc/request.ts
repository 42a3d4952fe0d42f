import { GRPC_CONTENT_SUBTYPES_MAX } from "../../base/limits.ts";
import type { Metadata, Method } from "../../io/rpc.ts";
import { Code } from "../../io/rpc.ts";
import { fieldKind, type HeaderField, type HeaderList, HeaderTemplate } from "../http2/mod.ts";
import { goQuote, headerText } from "./go_quote.ts";
import { corruptBase64At } from "./status.ts";
import { parseTimeout } from "./timeout.ts";

const TIMEOUT = fieldKind("grpc-timeout");
const ENCODING = fieldKind("grpc-encoding");
const ACCEPT_ENCODING = fieldKind("grpc-accept-encoding");
const HOST = fieldKind("host");

/** Fields that are gRPC's own and no metadata. */
const RESERVED = new Set([
  ":method",
  ":scheme",
  ":path",
  "content-type",
  "grpc-message-type",
  "grpc-encoding",
  "grpc-message",
  "grpc-status",
  "grpc-timeout",
  "te",
]);

const BASE_CONTENT_TYPE = "application/grpc";

/** The part behind "application/grpc" and its separator, as grpc-go reads it; undefined where it is not gRPC. */
export function contentSubtype(contentType: string | undefined): string | undefined {
  if (contentType === BASE_CONTENT_TYPE) return "";
  if (contentType === undefined || !contentType.startsWith(BASE_CONTENT_TYPE)) return undefined;
  const separator = contentType[BASE_CONTENT_TYPE.length];
  return separator === "+" || separator === ";" ? contentType.slice(BASE_CONTENT_TYPE.length + 1) : undefined;
}

export class RequestMetadata implements Metadata {
  readonly #fields: readonly HeaderField[];

  constructor(fields: readonly HeaderField[]) {
    this.#fields = fields;
  }

  get(name: string): string | undefined {
    for (const field of this.#fields) if (field.name === name && !RESERVED.has(name)) return field.value;
    return undefined;
  }

  *entries(): Iterable<readonly [name: string, value: string]> {
    for (const field of this.#fields) if (!RESERVED.has(field.name)) yield [field.name, field.value];
  }
}

/** A request that is answered without a handler. */
export interface Rejection {
  readonly httpStatus: number;
  readonly code: Code;
  readonly message: string;
}

/** The headers of answers, by content subtype: grpc-go echoes whatever the client named. */
const answerHeaders = new Map<string, { readonly plain: HeaderTemplate; readonly gzip: HeaderTemplate }>();

function headersFor(subtype: string): { readonly plain: HeaderTemplate; readonly gzip: HeaderTemplate } {
  const known = answerHeaders.get(subtype);
  if (known !== undefined) return known;
  // Templates are kept for good, so clients cannot have new ones made without end.
  if (answerHeaders.size >= GRPC_CONTENT_SUBTYPES_MAX) return headersFor("");
  const made = { plain: responseHeaders(subtype, false), gzip: responseHeaders(subtype, true) };
  answerHeaders.set(subtype, made);
  return made;
}

function responseHeaders(subtype: string, isGzip: boolean): HeaderTemplate {
  return new HeaderTemplate([
    [":status", "200"],
    ["content-type", subtype === "" ? BASE_CONTENT_TYPE : `${BASE_CONTENT_TYPE}+${subtype}`],
    ...isGzip ? [["grpc-encoding", "gzip"] as const] : [],
  ]);
}

// The one that is fallen back to comes first.
headersFor("");

/** What a header block says to gRPC. Blocks that repeat share one, so nothing in it belongs to a single call. */
export class GrpcRequest {
  readonly path: string;
  readonly metadata: RequestMetadata;
  /** Undefined exactly where there is a rejection. */
  readonly method: Method | undefined;
  readonly rejection: Rejection | undefined;
  /** Infinity without a timeout. */
  readonly timeoutMs: number;
  /** Messages with the compressed flag are gzip. */
  readonly isGzip: boolean;
  /** Compressed requests are answered in kind, as grpc-go does, unless the client says that it cannot read that. */
  readonly compressesReplies: boolean;
  readonly responseHeaders: HeaderTemplate;

  constructor(headers: HeaderList, methods: ReadonlyMap<string, Method>, services: ReadonlySet<string>) {
    this.path = headers.path ?? "";
    this.metadata = new RequestMetadata(headers.fields);
    let timeout: number | string = Infinity;
    let encoding = "";
    let acceptsGzip = true;
    let hostCount = 0;
    let binaryFlaw = "";
    for (const field of headers.fields) {
      if (field.kind === TIMEOUT) timeout = parseTimeout(field.value);
      else if (field.kind === ENCODING) encoding = field.value;
      else if (field.kind === ACCEPT_ENCODING) {
        acceptsGzip = field.value.split(",").some((name) => name.trim() === "gzip");
      } else if (field.kind === HOST) hostCount++;
      else if (field.name.endsWith("-bin")) {
        const position = corruptBase64At(field.value);
        if (position >= 0) {
          binaryFlaw = `malformed binary metadata ${goQuote(field.value)} in header ${goQuote(field.name)}: ` +
            `illegal base64 data at input byte ${position}`;
        }
      }
    }
    this.timeoutMs = typeof timeout === "number" ? timeout : Infinity;
    this.isGzip = encoding === "gzip";
    this.compressesReplies = this.isGzip && acceptsGzip;
    const answers = headersFor(contentSubtype(headers.contentType) ?? "");
    this.responseHeaders = this.compressesReplies ? answers.gzip : answers.plain;

    // In the order in which grpc-go looks.
    if (hostCount > 1) {
      this.rejection = reject(
        400,
        Code.INTERNAL,
        `num values of :authority: ${headers.authority === undefined ? 0 : 1}, num values of host: ${hostCount}, ` +
          "both must only have 1 value as per HTTP/2 spec",
      );
    } else if (typeof timeout === "string") {
      this.rejection = reject(400, Code.INTERNAL, `malformed grpc-timeout: ${timeout}`);
    } else if (binaryFlaw !== "") {
      this.rejection = reject(400, Code.INTERNAL, binaryFlaw);
    } else if (headers.method !== "POST") {
      this.rejection = reject(
        405,
        Code.INTERNAL,
        `Received a HEADERS frame with :method ${goQuote(headers.method ?? "")} which should be POST`,
      );
    } else if (this.timeoutMs === 0) {
      this.rejection = reject(200, Code.DEADLINE_EXCEEDED, "context deadline exceeded");
    } else {
      const method = methods.get(this.path);
      if (method === undefined) {
        this.rejection = reject(200, Code.UNIMPLEMENTED, unknownPath(this.path, services));
      } else if (encoding !== "" && encoding !== "identity" && encoding !== "gzip") {
        this.rejection = reject(
          200,
          Code.UNIMPLEMENTED,
          `grpc: Decompressor is not installed for grpc-encoding ${goQuote(encoding)}`,
        );
      } else {
        this.method = method;
      }
    }
  }
}

function reject(httpStatus: number, code: Code, message: string): Rejection {
  return { httpStatus, code, message };
}

function unknownPath(path: string, services: ReadonlySet<string>): string {
  const slash = path.lastIndexOf("/");
  if (path[0] !== "/" || slash === 0) return `malformed method name: ${goQuote(path)}`;
  const service = path.slice(1, slash);
  if (!services.has(service)) return `unknown service ${headerText(service)}`;
  return `unknown method ${headerText(path.slice(slash + 1))} for service ${service}`;
}
