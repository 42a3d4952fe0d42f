import type { Flag } from "../command_line/mod.ts";

export const WRITE_OUT: Flag = {
  name: "write-out",
  shorthand: "w",
  kind: "string",
  defaultValue: "simple",
  usage: "form of the output (fields, json, protobuf, simple, table)",
};

/** What every command takes that talks to a member: etcdctl's names and defaults. */
export const CLIENT_FLAGS: readonly Flag[] = [
  { name: "endpoints", kind: "strings", defaultValue: ["127.0.0.1:2379"], usage: "members to talk to" },
  { name: "debug", kind: "bool", defaultValue: false, usage: "print the settings in effect" },
  WRITE_OUT,
  { name: "hex", kind: "bool", defaultValue: false, usage: "print byte strings in hexadecimal" },
  {
    name: "dial-timeout",
    kind: "duration",
    defaultValue: 2000,
    usage: "how long to try to connect",
  },
  {
    name: "command-timeout",
    kind: "duration",
    defaultValue: 5000,
    usage: "how long a short command may take; a snapshot may take any time unless this is given",
  },
  {
    name: "keepalive-time",
    kind: "duration",
    defaultValue: 2000,
    usage: "time between looks whether the connection is alive (at least 10s)",
  },
  {
    name: "keepalive-timeout",
    kind: "duration",
    defaultValue: 6000,
    usage: "how long to wait for a sign of life",
  },
  {
    name: "max-request-bytes",
    kind: "int",
    defaultValue: 0n,
    usage: "largest request, in bytes (0: 2 MiB)",
  },
  {
    name: "max-recv-bytes",
    kind: "int",
    defaultValue: 0n,
    usage: "largest response, in bytes (0: 2 GiB)",
  },
  {
    name: "insecure-transport",
    kind: "bool",
    defaultValue: true,
    usage: "talk without TLS unless an endpoint or another flag asks for it",
  },
  { name: "insecure-discovery", kind: "bool", defaultValue: true, usage: "accept members without TLS from DNS" },
  {
    name: "insecure-skip-tls-verify",
    kind: "bool",
    defaultValue: false,
    usage: "do not verify the server's certificate (for tests only)",
  },
  { name: "cert", kind: "string", defaultValue: "", usage: "file with the client's certificate" },
  { name: "key", kind: "string", defaultValue: "", usage: "file with the key of --cert" },
  {
    name: "cacert",
    kind: "string",
    defaultValue: "",
    usage: "file with the authorities that servers' certificates must come from",
  },
  { name: "auth-jwt-token", kind: "string", defaultValue: "", usage: "token to authenticate with, instead of --user" },
  { name: "user", kind: "string", defaultValue: "", usage: "name[:password] to authenticate with" },
  { name: "password", kind: "string", defaultValue: "", usage: "password of --user" },
  {
    name: "discovery-srv",
    shorthand: "d",
    kind: "string",
    defaultValue: "",
    usage: "domain whose DNS names the members (not built yet)",
  },
  {
    name: "discovery-srv-name",
    kind: "string",
    defaultValue: "",
    usage: "service name for --discovery-srv (not built yet)",
  },
];
