/** What `--help` prints. */

import { type Flag, FLAGS } from "./table.ts";

const USAGE = `Usage:

  keelson [flags]         Run a member. Without flags: one durable member on this machine alone.
  keelson --version       Print the version.
  keelson --help          Print this.
`;

const NOTES = `
Called by the name etcdctl or etcdutl (a link will do), it is that program. Every command explains itself with --help.

Flags are etcd's: -name and --name are the same, a value follows as --name=value or --name value. Every flag is also a
variable of the environment (--data-dir is ETCD_DATA_DIR); giving both is an error. Flags marked * are not built yet:
with any value but the default, Keelson refuses to start.
`;

/** Columns of the flag and its default; longer ones push their text to the next line. */
const FLAG_WIDTH = 52;

/** `commands`: a line for each command beside the server. */
export function helpText(commands: string): string {
  let text = USAGE + commands + NOTES;
  let group = "";
  for (const flag of FLAGS) {
    if (flag.group === "") continue;
    if (flag.group !== group) {
      group = flag.group;
      text += `\n${group}:\n`;
    }
    text += line(flag);
  }
  return text;
}

function line(flag: Flag): string {
  const shownDefault = flag.kind === "bool" ? flag.defaultText : `'${flag.defaultText}'`;
  const left = `  ${flag.later === undefined ? " " : "*"} --${flag.name} ${shownDefault}`;
  if (left.length <= FLAG_WIDTH) return `${left.padEnd(FLAG_WIDTH)} ${flag.help}\n`;
  return `${left}\n${" ".repeat(FLAG_WIDTH)} ${flag.help}\n`;
}
