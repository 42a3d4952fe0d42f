import {
  CommandError,
  type Console,
  ExitCode,
  type Flag,
  FlagError,
  type FlagValues,
  readFlagValue,
} from "../command_line/mod.ts";
import { CLIENT_FLAGS } from "./flags.ts";

const PREFIX = "ETCDCTL_";

/** --dial-timeout is ETCDCTL_DIAL_TIMEOUT. */
export function variableName(flag: Flag): string {
  return PREFIX + flag.name.toUpperCase().replaceAll("-", "_");
}

/**
 * Sets what the command line leaves open from ETCDCTL_ variables. A variable beside its flag is an error, as in etcdctl;
 * so is one with a value that cannot be read (etcdctl then takes the default in silence). Throws a CommandError.
 */
export function readEnvironment(flags: FlagValues, console: Console): void {
  const flagOf = new Map(CLIENT_FLAGS.map((flag) => [variableName(flag), flag]));
  for (const [name, text] of Object.entries(console.environment)) {
    if (!name.startsWith(PREFIX) || text === undefined) continue;
    const flag = flagOf.get(name);
    if (flag === undefined || text === "") {
      console.log.warn("unrecognized environment variable", { "environment-variable": `${name}=${text}` });
      continue;
    }
    if (flags.isSet(flag.name)) {
      console.log.fatal(
        "conflicting environment variable is shadowed by corresponding command-line flag " +
          "(either unset environment variable or disable flag))",
        { "environment-variable": name },
      );
      throw new CommandError(ExitCode.ERROR, `both --${flag.name} and ${name} are given`);
    }
    try {
      flags.set(flag, readFlagValue(flag.kind, text));
    } catch (error) {
      if (!(error instanceof FlagError)) throw error;
      throw new CommandError(
        ExitCode.BAD_ARGUMENTS,
        `invalid value ${JSON.stringify(text)} for ${name}: ${error.message}`,
      );
    }
  }
}
