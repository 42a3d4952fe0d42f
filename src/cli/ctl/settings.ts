import { readFileSync } from "node:fs";
import { formatDuration } from "../../base/duration.ts";
import { CommandError, type Console, ExitCode, type FlagValues } from "../command_line/mod.ts";
import { readEnvironment, variableName } from "./environment.ts";
import { CLIENT_FLAGS } from "./flags.ts";

/** How to reach a member, as the flags and the environment say. */
export interface ClientSettings {
  readonly endpoints: readonly string[];
  readonly dialTimeoutMs: number;
  readonly commandTimeoutMs: number;
  /** The command line or the environment says how long a command may take. */
  readonly isCommandTimeoutSet: boolean;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** 0: the library's default. */
  readonly requestSizeMax: number;
  readonly responseSizeMax: number;
  /** Undefined: without TLS where the endpoint does not ask for it. */
  readonly tls: TlsSettings | undefined;
  readonly skipsVerification: boolean;
  readonly login: Login | undefined;
}

export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export type Login =
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "password"; readonly name: string; readonly password: string };

/** grpc-go asks no more often than this, whatever it is told: servers take more for a flood. */
const KEEPALIVE_MS_MIN = 10_000;

/** Throws a CommandError with etcdctl's exit code. */
export function readSettings(flags: FlagValues, console: Console): ClientSettings {
  // A flag or its variable: both count as set, for etcdctl does not tell them apart either.
  readEnvironment(flags, console);
  if (flags.boolean("debug")) printSettings(flags, console);
  if (flags.string("discovery-srv") !== "" || flags.string("discovery-srv-name") !== "") {
    throw new CommandError(ExitCode.ERROR, "--discovery-srv is not built yet: name the members with --endpoints");
  }
  return {
    endpoints: flags.strings("endpoints").map((endpoint) => endpoint.trim()),
    dialTimeoutMs: flags.duration("dial-timeout"),
    commandTimeoutMs: flags.duration("command-timeout"),
    isCommandTimeoutSet: flags.isSet("command-timeout"),
    keepaliveMs: Math.max(KEEPALIVE_MS_MIN, flags.duration("keepalive-time")),
    keepaliveTimeoutMs: flags.duration("keepalive-timeout"),
    requestSizeMax: Number(flags.integer("max-request-bytes")),
    responseSizeMax: Number(flags.integer("max-recv-bytes")),
    tls: readTls(flags),
    skipsVerification: flags.boolean("insecure-skip-tls-verify"),
    login: readLogin(flags),
  };
}

function printSettings(flags: FlagValues, console: Console): void {
  const secrets = new Set(["password", "auth-jwt-token", "user"]);
  for (const flag of flags.flags()) {
    if (!CLIENT_FLAGS.includes(flag)) continue;
    const value = flags.value(flag.name);
    const text = flag.kind === "duration"
      ? formatDuration(value as number)
      : flag.kind === "strings"
      ? `[${(value as string[]).join(",")}]`
      : secrets.has(flag.name) && value !== ""
      ? "(hidden)"
      : String(value);
    console.error(`${variableName(flag)}=${text}\n`);
  }
}

function readTls(flags: FlagValues): TlsSettings | undefined {
  const path = (name: "cert" | "key" | "cacert") => {
    const value = flags.string(name);
    if (value === "" && flags.isSet(name)) {
      throw new CommandError(ExitCode.BAD_ARGUMENTS, `empty string is passed to --${name} option`);
    }
    return value;
  };
  const cert = path("cert"), key = path("key"), cacert = path("cacert");
  if ((cert === "") !== (key === "")) {
    throw new CommandError(
      ExitCode.BAD_ARGUMENTS,
      `KeyFile and CertFile must both be present[key: ${key}, cert: ${cert}]`,
    );
  }
  if (cert === "" && cacert === "" && flags.boolean("insecure-transport")) return undefined;
  return {
    ca: cacert === "" ? undefined : readPem(cacert),
    cert: cert === "" ? undefined : readPem(cert),
    key: key === "" ? undefined : readPem(key),
  };
}

function readPem(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new CommandError(
      ExitCode.BAD_ARGUMENTS,
      isMissing ? `open ${path}: no such file or directory` : (error as Error).message,
    );
  }
}

function readLogin(flags: FlagValues): Login | undefined {
  const token = flags.string("auth-jwt-token");
  if (token !== "") return { kind: "token", token };
  const user = flags.string("user");
  if (user === "") return undefined;
  const password = flags.string("password");
  if (password !== "") return { kind: "password", name: user, password };
  const colon = user.indexOf(":");
  if (colon < 0) {
    throw new CommandError(
      ExitCode.ERROR,
      "the password is missing, and asking for it is not built yet: " +
        "give --user=name:password, or --password (ETCDCTL_PASSWORD)",
    );
  }
  return { kind: "password", name: user.slice(0, colon), password: user.slice(colon + 1) };
}
