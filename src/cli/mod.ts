/**
 * The command: what the operator asked for, checked, and then a server or an answer on the terminal.
 *
 * Knows nothing of requests or data; `server` is the one place where the parts of a member are put together.
 *
 * Invariants
 * 1. No setting is accepted and ignored: what is not built yet refuses to start, by name.
 * 2. What goes wrong before a server runs is one line that says what to do, and a non-zero exit code: 2 where Go's flag
 *    package would give it, 1 otherwise.
 *
 * Read in this order: flags/, config, log/, command, data_directory, serve, server (initial_cluster with initial_members,
 * peer_port, metrics, peer_metrics), signals, banner, version. The tools beside the server: command_line/, output/, ctl/,
 * utl/, console, tools, version_command.
 */

export { run } from "./command.ts";
