/**
 * A request to set a password as it stands in the log, and no version of etcd since 3.5 writes: in plain text, for every
 * member to hash with a salt of its own. It cannot be applied without hashing, which is not done here.
 */
export class PlainPasswordError extends Error {
  constructor(user: string) {
    super(
      `the log holds the password of user ${JSON.stringify(user)} in plain text, as etcd before 3.5 wrote it; start ` +
        `etcd 3.5 or later on this data directory until it has written a snapshot, then start this program`,
    );
    this.name = "PlainPasswordError";
  }
}

/** Undefined: not base64 as Go's base64.StdEncoding reads it, which passes over ends of lines. */
export function decodeHash(base64: string): Uint8Array | undefined {
  const text = base64.replaceAll(/[\r\n]/g, "");
  if (!BASE64.test(text)) return undefined;
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
