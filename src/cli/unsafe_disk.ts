/** The disk of `--unsafe-no-fsync`: everything is written, nothing is waited for. */

import type { Disk, File, OpenOptions } from "../io/disk.ts";

/** The same disk without its promise of durability. */
export function withoutSync(disk: Disk): Disk {
  return {
    async open(path: string, options?: OpenOptions) {
      return fileWithoutSync(await disk.open(path, options));
    },
    list: (path) => disk.list(path),
    stat: (path) => disk.stat(path),
    makeDirectory: (path) => disk.makeDirectory(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    removeDirectory: (path) => disk.removeDirectory(path),
    syncDirectory: () => Promise.resolve(),
  };
}

function fileWithoutSync(file: File): File {
  return {
    path: file.path,
    read: (target, position) => file.read(target, position),
    write: (data, position) => file.write(data, position),
    syncData: () => Promise.resolve(),
    writeDurable: (data, position) => file.write(data, position),
    allocate: (size) => file.allocate(size),
    truncate: (size) => file.truncate(size),
    size: () => file.size(),
    tryLock: () => file.tryLock(),
    close: () => file.close(),
  };
}
