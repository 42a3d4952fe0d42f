/**
 * The few system calls that neither runtime's node:fs offers, through libc: `bun:ffi` under Bun (compiled executables
 * included), `Deno.dlopen` under Deno. Descriptors from node:fs are the system's own in both.
 */

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

/** glibc and musl; the names are tried in this order. */
const LIBRARIES = ["libc.so.6", "libc.so", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

interface Symbols {
  fallocate(fd: number, mode: number, offset: bigint, size: bigint): number;
  flock(fd: number, operation: number): number;
  fcntl(fd: number, command: number, argument: Uint8Array): number;
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
    __errno_location: { args: [], returns: "ptr" },
  });
  return {
    fallocate: symbols.fallocate,
    flock: symbols.flock,
    fcntl: symbols.fcntl,
    errno: () => read.i32(symbols.__errno_location()!, 0),
  };
}

function openInDeno(deno: DenoNamespace, name: string): Symbols {
  const { symbols } = deno.dlopen(name, {
    fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
    flock: { parameters: ["i32", "i32"], result: "i32" },
    fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
    __errno_location: { parameters: [], result: "pointer" },
  });
  return {
    fallocate: symbols.fallocate as Symbols["fallocate"],
    flock: symbols.flock as Symbols["flock"],
    fcntl: symbols.fcntl as Symbols["fcntl"],
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
  };
}
