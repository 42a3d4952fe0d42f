import {
  create,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import {
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
} from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { Code, type Method, type StreamCall } from "../io/rpc.ts";
import { decodeStreamMessage } from "./request.ts";

type Answer = MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"];

/**
 * Server reflection, v1 and v1alpha (they differ in name only), as grpc-go answers it: each file once per stream, what it
 * imports behind it.
 */
export function reflectionService(services: readonly DescService[]): Method[] {
  // Made for the first who asks: most servers are never asked.
  let registry: Registry | undefined;
  return ["grpc.reflection.v1", "grpc.reflection.v1alpha"].map((name): Method => ({
    kind: "bidi_streaming",
    path: `/${name}.ServerReflection/ServerReflectionInfo`,
    handle: (call) => serve(call, registry ??= new Registry(services)),
  }));
}

function serve(call: StreamCall, registry: Registry): void {
  const sent = new Set<DescFile>();
  call.onMessage((bytes) => {
    const request = decodeStreamMessage(ServerReflectionRequestSchema, bytes);
    const response = create(ServerReflectionResponseSchema, {
      validHost: request.host,
      originalRequest: request,
      messageResponse: registry.answer(request, sent),
    });
    if (!call.send(toBinary(ServerReflectionResponseSchema, response))) call.pause();
  });
  call.onDrain(() => call.resume());
  call.onHalfClose(() => call.end());
}

class Registry {
  readonly #serviceNames: string[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  /** Numbers of the extensions of a message, with the files that define them. */
  readonly #extensions = new Map<string, Map<number, DescFile>>();

  constructor(services: readonly DescService[]) {
    this.#serviceNames = services.map((service) => service.typeName).sort();
    for (const service of services) this.#addFile(service.file);
  }

  #addFile(file: DescFile): void {
    const name = `${file.name}.proto`;
    if (this.#files.has(name)) return;
    this.#files.set(name, file);
    for (const message of file.messages) this.#addMessage(message, file);
    for (const { typeName } of file.enums) this.#symbols.set(typeName, file);
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file);
    }
    for (const extension of file.extensions) {
      this.#symbols.set(extension.typeName, file);
      const numbers = this.#extensions.get(extension.extendee.typeName) ?? new Map<number, DescFile>();
      this.#extensions.set(extension.extendee.typeName, numbers.set(extension.number, file));
    }
    for (const dependency of file.dependencies) this.#addFile(dependency);
  }

  #addMessage(message: DescMessage, file: DescFile): void {
    this.#symbols.set(message.typeName, file);
    for (const field of message.fields) this.#symbols.set(`${message.typeName}.${field.name}`, file);
    for (const { typeName } of message.nestedEnums) this.#symbols.set(typeName, file);
    for (const nested of message.nestedMessages) this.#addMessage(nested, file);
  }

  answer({ messageRequest }: ServerReflectionRequest, sent: Set<DescFile>): Answer {
    switch (messageRequest.case) {
      case "fileByFilename":
        return this.#fileAnswer(this.#files.get(messageRequest.value), sent);
      case "fileContainingSymbol":
        return this.#fileAnswer(this.#symbols.get(messageRequest.value), sent);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = messageRequest.value;
        return this.#fileAnswer(this.#extensions.get(containingType)?.get(extensionNumber), sent);
      }
      case "allExtensionNumbersOfType": {
        const baseTypeName = messageRequest.value;
        if (!this.#symbols.has(baseTypeName)) return notFound();
        const extensionNumber = [...this.#extensions.get(baseTypeName)?.keys() ?? []].sort((a, b) => a - b);
        return { case: "allExtensionNumbersResponse", value: { baseTypeName, extensionNumber } };
      }
      case "listServices":
        return { case: "listServicesResponse", value: { service: this.#serviceNames.map((name) => ({ name })) } };
      default:
        return {
          case: "errorResponse",
          value: { errorCode: Code.INVALID_ARGUMENT, errorMessage: "invalid MessageRequest: <nil>" },
        };
    }
  }

  #fileAnswer(file: DescFile | undefined, sent: Set<DescFile>): Answer {
    if (file === undefined) return notFound();
    const fileDescriptorProto: Uint8Array[] = [];
    const add = (each: DescFile, isAsked: boolean) => {
      if (sent.has(each) && !isAsked) return;
      sent.add(each);
      fileDescriptorProto.push(toBinary(FileDescriptorProtoSchema, each.proto));
      for (const dependency of each.dependencies) add(dependency, false);
    };
    add(file, true);
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  }
}

function notFound(): Answer {
  return { case: "errorResponse", value: { errorCode: Code.NOT_FOUND, errorMessage: "proto: not found" } };
}
