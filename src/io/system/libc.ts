/**
 * The few system calls that neither runtime's node:fs offers, through libc: `bun:ffi` under Bun (compiled executables
 * included), `Deno.dlopen` under Deno. Descriptors from node:fs are the system's own in both.
 */
import { utf8 } from "../../base/bytes.ts";

/** Errors are returned as the system's numbers (errno), 0 for success. */
export interface Libc {
  /** Reserves `[0, size)` and extends the file to it. */
  fallocate(fd: number, size: number): number;
  /** flock(LOCK_EX | LOCK_NB). */
  flock(fd: number): number;
  /**
   * A write lock of the open file description on the whole file (fcntl F_OFD_SETLK): what etcd takes on its log on
   * Linux, and invisible to flock. EINVAL where the kernel has none.
   */
  lockDescription(fd: number): number;
  /** Sends one datagram to a Unix socket; a path that begins with "@" is an abstract name. EINVAL if it is too long for one. */
  sendToUnixSocket(path: string, data: Uint8Array): number;
}

/** Linux error numbers (frozen: the kernel's). */
export const EAGAIN = 11;
export const EINVAL = 22;
export const EINTR = 4;
export const ENOSYS = 38;
export const EOPNOTSUPP = 95;

const LOCK_EXCLUSIVE = 2;
const LOCK_NONBLOCKING = 4;
const SET_DESCRIPTION_LOCK = 37;
const WRITE_LOCK = 1;

/** struct flock on 64-bit Linux: short type, short whence, long start, long length (0: to the end), int pid. */
const STRUCT_FLOCK_SIZE = 32;

const UNIX_FAMILY = 1;
/** SOCK_DGRAM | SOCK_CLOEXEC */
const DATAGRAM = 2 | 0x80000;
/** MSG_NOSIGNAL */
const NO_SIGNAL = 0x4000;
/** struct sockaddr_un on Linux: short family, then the path, of which an abstract name begins with a zero byte. */
const UNIX_PATH_SIZE = 108;

/** glibc and musl; the names are tried in this order. */
const LIBRARIES = ["libc.so.6", "libc.so", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

interface Symbols {
  fallocate(fd: number, mode: number, offset: bigint, size: bigint): number;
  flock(fd: number, operation: number): number;
  fcntl(fd: number, command: number, argument: Uint8Array): number;
  socket(family: number, type: number, protocol: number): number;
  sendto(
    fd: number,
    data: Uint8Array,
    size: number,
    flags: number,
    address: Uint8Array,
    addressSize: number,
  ): number | bigint;
  close(fd: number): number;
  errno(): number;
}

interface DenoNamespace {
  dlopen(name: string, symbols: Record<string, unknown>): { symbols: Record<string, (...args: unknown[]) => unknown> };
  UnsafePointerView: new (pointer: unknown) => { getInt32(): number };
}

let loading: Promise<Libc | undefined> | undefined;

/** Undefined where there is no such library (not Linux): the caller then does without. */
export function loadLibc(): Promise<Libc | undefined> {
  loading ??= openSymbols().then((symbols) => symbols && wrap(symbols));
  return loading;
}

async function openSymbols(): Promise<Symbols | undefined> {
  const deno = (globalThis as { Deno?: DenoNamespace }).Deno;
  // Windows and macOS have neither fallocate nor these constants.
  if (process.platform !== "linux") return undefined;
  for (const name of LIBRARIES) {
    try {
      return deno === undefined ? await openInBun(name) : openInDeno(deno, name);
    } catch {
      // The next name may exist.
    }
  }
  return undefined;
}

async function openInBun(name: string): Promise<Symbols> {
  const { dlopen, read } = await import("bun:ffi");
  const { symbols } = dlopen(name, {
    fallocate: { args: ["i32", "i32", "i64", "i64"], returns: "i32" },
    flock: { args: ["i32", "i32"], returns: "i32" },
    fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
    __errno_location: { args: [], returns: "ptr" },
  });
  return {
    fallocate: symbols.fallocate,
    flock: symbols.flock,
    fcntl: symbols.fcntl,
    socket: symbols.socket,
    sendto: symbols.sendto,
    close: symbols.close,
    errno: () => read.i32(symbols.__errno_location()!, 0),
  };
}

function openInDeno(deno: DenoNamespace, name: string): Symbols {
  const { symbols } = deno.dlopen(name, {
    fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
    flock: { parameters: ["i32", "i32"], result: "i32" },
    fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i64" },
    close: { parameters: ["i32"], result: "i32" },
    __errno_location: { parameters: [], result: "pointer" },
  });
  return {
    fallocate: symbols.fallocate as Symbols["fallocate"],
    flock: symbols.flock as Symbols["flock"],
    fcntl: symbols.fcntl as Symbols["fcntl"],
    socket: symbols.socket as Symbols["socket"],
    sendto: symbols.sendto as Symbols["sendto"],
    close: symbols.close as Symbols["close"],
    errno: () => new deno.UnsafePointerView(symbols.__errno_location()).getInt32(),
  };
}

function wrap(symbols: Symbols): Libc {
  const outcome = (result: number) => result === 0 ? 0 : symbols.errno();
  return {
    fallocate: (fd, size) => outcome(symbols.fallocate(fd, 0, 0n, BigInt(size))),
    flock: (fd) => outcome(symbols.flock(fd, LOCK_EXCLUSIVE | LOCK_NONBLOCKING)),
    lockDescription(fd) {
      const lock = new Uint8Array(STRUCT_FLOCK_SIZE);
      new DataView(lock.buffer).setInt16(0, WRITE_LOCK, true);
      return outcome(symbols.fcntl(fd, SET_DESCRIPTION_LOCK, lock));
    },
    sendToUnixSocket(path, data) {
      const name = utf8(path.startsWith("@") ? `\0${path.slice(1)}` : path);
      if (name.length > UNIX_PATH_SIZE) return EINVAL;
      const address = new Uint8Array(2 + name.length);
      new DataView(address.buffer).setUint16(0, UNIX_FAMILY, true);
      address.set(name, 2);
      const fd = symbols.socket(UNIX_FAMILY, DATAGRAM, 0);
      if (fd < 0) return symbols.errno();
      const sent = symbols.sendto(fd, data, data.length, NO_SIGNAL, address, address.length);
      const error = sent < 0 ? symbols.errno() : 0;
      symbols.close(fd);
      return error;
    },
  };
}
