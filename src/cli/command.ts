import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { formatDuration } from "../base/duration.ts";
import { ETCD_VERSION, KEELSON_VERSION } from "../base/version.ts";
import { type Config, ConfigError, makeConfig, RAFT_TIMEOUT_MS_MIN } from "./config.ts";
import { print } from "./console.ts";
import { findDefaultHost } from "./default_host.ts";
import {
  ConflictError,
  type Environment,
  helpText,
  type Note,
  parseArguments,
  readEnvironment,
  readFileSettings,
  Settings,
} from "./flags/mod.ts";
import { openLog, type ProcessLogger } from "./log/mod.ts";
import { serve } from "./serve.ts";
import { findTool, runTool, toolsHelp } from "./tools.ts";
import { versionText } from "./version.ts";

/** Commands of etcd's that are not in here yet. */
const MISSING_COMMANDS: readonly string[] = ["gateway", "grpc-proxy"];

/**
 * Runs the command and returns the exit code of the process.
 *
 * `argv` is the name the program was called by, then its arguments.
 */
export async function run(argv: readonly string[], environment: Environment): Promise<number> {
  const [program, ...args] = argv;
  const name = basename(program);
  const tool = findTool(name, args);
  if (tool !== undefined) return await runTool(tool, args, environment);
  for (const missing of [name, args[0] ?? ""]) {
    if (!MISSING_COMMANDS.includes(missing)) continue;
    print(
      2,
      `${missing} is not part of Keelson ${KEELSON_VERSION} yet: etcd's own ${ETCD_VERSION} works with Keelson.\n`,
    );
    return 1;
  }

  const settings = new Settings();
  const parsed = parseArguments(args, settings);
  if (parsed.kind === "help") {
    print(1, helpText(toolsHelp()));
    return 0;
  }
  if (parsed.kind === "error") {
    print(2, `${parsed.message}\nRun "keelson --help" for the flags.\n`);
    return 2;
  }

  let start: Start;
  try {
    if (parsed.rest.length > 0) throw new ConfigError(`${JSON.stringify(parsed.rest[0])} is not a valid flag`);
    if (settings.boolean("version")) {
      print(1, versionText());
      return 0;
    }
    start = await configure(settings, environment);
  } catch (error) {
    reportRefusal(error as Error);
    return 1;
  }

  const { config, log, notes } = start;
  for (const note of notes) log[note.level](note.message, note.fields);
  log.info("Running: ", { args: argv });
  warnOfSettings(start);
  const code = await serve(config, log);
  log.close();
  return code;
}

interface Start {
  readonly settings: Settings;
  readonly config: Config;
  readonly log: ProcessLogger;
  readonly notes: readonly Note[];
}

/** Reads what flags leave open, from a file or else the environment, and opens the log that it asks for. */
async function configure(flagSettings: Settings, environment: Environment): Promise<Start> {
  const path = flagSettings.string("config-file") || environment.ETCD_CONFIG_FILE || "";
  let settings = flagSettings;
  let notes: Note[];
  if (path === "") {
    notes = readEnvironment(environment, settings);
  } else {
    settings = new Settings();
    notes = readConfigFile(path, settings);
  }
  const config = makeConfig(settings, await findDefaultHost());
  const log = openLog({
    level: config.logLevel,
    format: config.logFormat,
    outputs: config.logOutputs,
    isColoured: environment.NO_COLOR === undefined,
  });
  return { settings, config, log, notes };
}

function readConfigFile(path: string, settings: Settings): Note[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`--config-file cannot be read: ${(error as Error).message}`);
  }
  try {
    return [...readFileSettings(text, settings), {
      level: "info",
      message:
        "loaded server configuration, other configuration command line flags and environment variables will be ignored if provided",
      fields: { path },
    }];
  } catch (error) {
    throw new ConfigError(`--config-file ${path}: ${(error as Error).message}`);
  }
}

/** Says, before there is a log as configured, why nothing starts. */
function reportRefusal(error: Error): void {
  const log = openLog({ level: "info", format: "auto", outputs: ["default"] });
  if (error instanceof ConflictError) {
    log.fatal(error.message, { "environment-variable": error.variable });
  } else {
    log.warn("failed to verify flags", { error });
  }
}

/** Settings that work but deserve a word. */
function warnOfSettings({ settings, config, log }: Start): void {
  if (config.name === "default") {
    log.warn(
      "it isn't recommended to use default name, please set a value for --name. " +
        "Note that etcd might run into issue when multiple members have the same default name",
      { name: config.name },
    );
  }
  if (settings.string("data-dir") === "") {
    log.warn("'data-dir' was empty; using default", { "data-dir": config.dataDir });
  }
  if (settings.isSet("max-snapshots")) {
    log.warn("--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.");
  }
  if (settings.isSet("v2-deprecation")) {
    log.warn(
      "--v2-deprecation is deprecated and scheduled for removal in v3.8. " +
        "The default value is enforced, ignoring user input.",
    );
  }
  for (const { flag } of settings.all()) {
    if (flag.kind === "ignored") {
      log.warn("flag is no longer supported - ignoring", { "flag-name": flag.name });
    }
  }
  for (const name of ["raft-read-timeout", "raft-write-timeout"]) {
    if (settings.number(name) >= RAFT_TIMEOUT_MS_MIN) continue;
    log.info(`${name} increased to minimum value: ${formatDuration(RAFT_TIMEOUT_MS_MIN)}`);
  }
  if (config.unsafeNoFsync) {
    log.warn(
      "UNSAFE: fsync is off (--unsafe-no-fsync). A crash of this machine loses acknowledged data and may leave a log " +
        "that cannot be read.",
    );
  }
}
