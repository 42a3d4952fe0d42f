/** What is wrong with a database file: which file, which page, what was found. */

export class BoltError extends Error {
  readonly path: string;
  /** Undefined where it is about the file as a whole. */
  readonly page: number | undefined;

  constructor(path: string, page: number | undefined, found: string) {
    super(`${path}${page === undefined ? "" : `, page ${page}`}: ${found}`);
    this.name = "BoltError";
    this.path = path;
    this.page = page;
  }
}
