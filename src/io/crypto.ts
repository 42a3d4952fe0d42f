/** Cryptographic digests (member and cluster ids are SHA-1 prefixes in etcd). */
export interface Crypto {
  sha1(data: Uint8Array): Uint8Array;
  sha256(data: Uint8Array): Uint8Array;
}
