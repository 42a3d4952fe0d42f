/** Cryptographic digests (member and cluster ids are SHA-1 prefixes in etcd). */
export interface Crypto {
  sha1(data: Uint8Array): Uint8Array;
  sha256(data: Uint8Array): Uint8Array;
  /** SHA-256 of data that comes in pieces; at about 1 ms a megabyte, the caller decides how much goes into a turn. */
  sha256Stream(): DigestStream;
}

/** A digest on its way. */
export interface DigestStream {
  /** `data` may be reused once this returns. */
  update(data: Uint8Array): void;
  /** The digest of all that was given. Called once, at the end. */
  digest(): Uint8Array;
}
