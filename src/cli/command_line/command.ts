import type { LogFields, Logger } from "../../io/log.ts";
import type { Flag } from "./flag.ts";
import type { FlagValues } from "./flag_values.ts";

/** Exit codes of etcd's tools (frozen: scripts look at them). */
export const ExitCode = {
  SUCCESS: 0,
  ERROR: 1,
  BAD_CONNECTION: 2,
  BAD_FEATURE: 4,
  INTERRUPTED: 5,
  BAD_ARGUMENTS: 128,
} as const;

/** Why a command ended: printed as "Error: ..." by whoever runs it. */
export class CommandError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "CommandError";
    this.code = code;
  }
}

/** Where a command writes, and what it may know of the process. */
export interface Console {
  /** Written before it returns. */
  out(text: string): void;
  error(text: string): void;
  /** Standard error is a terminal. */
  readonly isTerminal: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The log of the command, opened when first asked for. */
  readonly log: Logger & { fatal(message: string, fields?: LogFields): void };
  /**
   * `listener` runs when the process is asked to end (SIGINT, SIGTERM), instead of that, with the exit code by which shells
   * know such an end. Returns what takes it back.
   */
  onInterrupt(listener: (exitCode: number) => void): () => void;
}

export interface Invocation {
  readonly flags: FlagValues;
  readonly arguments: readonly string[];
  readonly console: Console;
}

export interface Command {
  readonly name: string;
  /** What stands behind the name in the usage line: "<filename>". */
  readonly argumentsUsage?: string;
  readonly summary: string;
  /** Shown in its own help. */
  readonly description?: string;
  readonly flags?: readonly Flag[];
  /** For this command and all below it. */
  readonly persistentFlags?: readonly Flag[];
  readonly requiredFlags?: readonly string[];
  /** Exactly so many, checked before it runs. Undefined: `run` looks at them itself. */
  readonly argumentCount?: number;
  readonly subcommands?: readonly Command[];
  /** Text under the list of commands. */
  readonly note?: string;
  /** Commands of etcd's that are not in here yet: refused by name. Root only. */
  readonly missing?: readonly string[];
  /** Root only: errors of the command line are printed once more at the end, as etcdutl does. */
  readonly repeatsErrors?: boolean;
  /** Returns the exit code, or throws a CommandError. Absent: the command only has subcommands. */
  run?(invocation: Invocation): Promise<number>;
}
