import { dlopen } from "bun:ffi";
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { utf8, utf8Text } from "../../../src/base/bytes.ts";
import { notifyInitDaemon } from "../../../src/io/system/mod.ts";

/** node's sockets do not speak datagrams over Unix sockets. */
const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
});

/** What arrives at a socket of this name, while `send` runs. */
async function received(path: string, send: () => Promise<void>): Promise<string> {
  const fd = libc.socket(1, 2, 0);
  const name = utf8(path.replace(/^@/, "\0"));
  const address = new Uint8Array([1, 0, ...name]);
  try {
    expect(libc.bind(fd, address, address.length)).toBe(0);
    await send();
    const data = new Uint8Array(100);
    const size = Number(libc.recv(fd, data, data.length, 0x40));
    return utf8Text(data.subarray(0, size));
  } finally {
    libc.close(fd);
  }
}

test("a socket gets what it is told, whether it is a file or an abstract name", async () => {
  const directory = mkdtempSync(join(tmpdir(), "keelson-notify-"));
  try {
    for (const socket of [join(directory, "socket"), `@keelson-${process.pid}`]) {
      expect(await received(socket, () => notifyInitDaemon(socket, "READY=1"))).toBe("READY=1");
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("where nobody asks there is nothing to tell", async () => {
  await notifyInitDaemon("", "READY=1");
});

test("a socket that is not there, or cannot be, is told with the system's number", async () => {
  await expect(notifyInitDaemon("/nowhere/socket", "READY=1")).rejects.toThrow(
    "cannot write to /nowhere/socket: errno 2",
  );
  await expect(notifyInitDaemon("@keelson-nobody-listens", "READY=1")).rejects.toThrow("errno 111");
  await expect(notifyInitDaemon(`/${"x".repeat(120)}`, "READY=1")).rejects.toThrow("errno 22");
});
