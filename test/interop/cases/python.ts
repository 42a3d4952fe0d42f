import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { executeOrThrow } from "../process.ts";
import { CACHE_DIRECTORY, INTEROP_DIRECTORY } from "../tools.ts";
import type { Case, Context } from "../context.ts";

const CLIENT_DIRECTORY = join(INTEROP_DIRECTORY, "clients", "python");
const ENVIRONMENT_DIRECTORY = join(CACHE_DIRECTORY, "python");
const INTERPRETER = join(ENVIRONMENT_DIRECTORY, "bin", "python");

export const pythonGateway: Case = {
  name: "etcd3gw",
  about: "the Python package etcd3gw over the JSON gateway",
  run: (context) => runScript(context, "gateway_client.py"),
};

export const pythonGrpc: Case = {
  name: "aetcd",
  about: "the Python package aetcd over grpcio",
  run: (context) => runScript(context, "grpc_client.py"),
};

async function runScript(context: Context, script: string): Promise<string> {
  await makeEnvironment();
  const server = await context.start("subject");
  const [host, port] = server.endpoint.split(":") as [string, string];
  const { stdout } = await executeOrThrow(INTERPRETER, [join(CLIENT_DIRECTORY, script), host, port]);
  return `${stdout.trimEnd().split("\n").length} checks`;
}

/** A virtual environment with the pinned packages, made anew when their list changed. */
async function makeEnvironment(): Promise<void> {
  const requirements = join(CLIENT_DIRECTORY, "requirements.txt");
  const stamp = createHash("sha256").update(readFileSync(requirements)).digest("hex");
  const stampPath = join(ENVIRONMENT_DIRECTORY, ".stamp");
  if (existsSync(stampPath) && readFileSync(stampPath, "utf8") === stamp) return;
  console.error("installing the Python clients (once)...");
  rmSync(ENVIRONMENT_DIRECTORY, { recursive: true, force: true });
  await executeOrThrow("python3", ["-m", "venv", ENVIRONMENT_DIRECTORY]);
  await executeOrThrow(INTERPRETER, ["-m", "pip", "install", "--quiet", "--requirement", requirements]);
  writeFileSync(stampPath, stamp);
}
