import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "bun:test";
import { serviceDescriptors } from "../../src/api/mod.ts";
import { ServerReflection, type ServerReflectionResponse } from "../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../src/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { TestMember } from "../harness/member.ts";

const INFO = ServerReflection.method.serverReflectionInfo;

function fileNames(response: ServerReflectionResponse | undefined): string[] {
  const { messageResponse } = response!;
  if (messageResponse.case !== "fileDescriptorResponse") return [String(messageResponse.case)];
  return messageResponse.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
}

test("the services are listed, under both versions of the protocol", async () => {
  const member = await TestMember.start();
  for (const stream of [member.stream(INFO), member.stream(ServerReflectionAlpha.method.serverReflectionInfo)]) {
    stream.send({ messageRequest: { case: "listServices", value: "" } });
    const { messageResponse } = (await (stream as { next(): Promise<ServerReflectionResponse | undefined> }).next())!;
    const names = messageResponse.case === "listServicesResponse"
      ? messageResponse.value.service.map(({ name }) => name)
      : [];
    expect(names).toEqual(serviceDescriptors.map(({ typeName }) => typeName).sort());
    stream.call.halfClose();
    expect(await stream.next()).toBeUndefined();
  }
  await member.stop();
});

test("a symbol is answered with its file and all that it imports, from which a client can build the types", async () => {
  const member = await TestMember.start();
  for (
    const symbol of ["etcdserverpb.KV", "etcdserverpb.KV.Put", "etcdserverpb.PutRequest", "etcdserverpb.PutRequest.key"]
  ) {
    const stream = member.stream(INFO);
    stream.send({ messageRequest: { case: "fileContainingSymbol", value: symbol } });
    const response = (await stream.next())!;
    expect(fileNames(response)[0]).toBe("etcdserverpb/kv.proto");
    if (response.messageResponse.case !== "fileDescriptorResponse") throw new Error("no files");
    const file = response.messageResponse.value.fileDescriptorProto.map((bytes) =>
      fromBinary(FileDescriptorProtoSchema, bytes)
    ).reverse();
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file }));
    expect(registry.getMessage("etcdserverpb.PutRequest")!.fields.map(({ name }) => name)).toContain("ignore_lease");
    expect(registry.getService("etcdserverpb.KV")!.methods).toHaveLength(6);
  }
  await member.stop();
});

test("a file is sent once per stream, unless it is asked for by name", async () => {
  const member = await TestMember.start();
  const stream = member.stream(INFO);
  stream.send({ messageRequest: { case: "fileByFilename", value: "etcdserverpb/kv.proto" } });
  expect((await stream.next().then(fileNames)).length).toBeGreaterThan(1);
  stream.send({ messageRequest: { case: "fileByFilename", value: "etcdserverpb/kv.proto" } });
  expect(await stream.next().then(fileNames)).toEqual(["etcdserverpb/kv.proto"]);
  await member.stop();
});

test("extensions are found by number, and what does not exist is not found", async () => {
  const member = await TestMember.start();
  const stream = member.stream(INFO);
  const containingType = "google.protobuf.MessageOptions";
  stream.send({
    messageRequest: { case: "fileContainingExtension", value: { containingType, extensionNumber: 50_000 } },
  });
  expect((await stream.next().then(fileNames))[0]).toBe("versionpb/version.proto");
  stream.send({ messageRequest: { case: "allExtensionNumbersOfType", value: containingType } });
  expect((await stream.next())!.messageResponse).toMatchObject({
    case: "allExtensionNumbersResponse",
    value: { baseTypeName: containingType, extensionNumber: [50_000] },
  });
  for (
    const messageRequest of [
      { case: "fileByFilename", value: "nothing.proto" },
      { case: "fileContainingSymbol", value: "nothing" },
      { case: "fileContainingExtension", value: { containingType, extensionNumber: 1 } },
      { case: "allExtensionNumbersOfType", value: "nothing" },
    ] as const
  ) {
    stream.send({ messageRequest });
    expect((await stream.next())!.messageResponse).toMatchObject({
      case: "errorResponse",
      value: { errorCode: 5, errorMessage: "proto: not found" },
    });
  }
  stream.send({});
  expect((await stream.next())!.messageResponse).toMatchObject({ case: "errorResponse", value: { errorCode: 3 } });
  await member.stop();
});
