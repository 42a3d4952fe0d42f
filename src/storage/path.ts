/** Paths of the storage layer: separated by slashes, relative or absolute. */

/** The directory that holds `path`; "." for a bare name. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash === -1 ? "." : slash === 0 ? "/" : path.slice(0, slash);
}
