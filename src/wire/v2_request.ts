import { utf8Text } from "../base/bytes.ts";
import { WireReader } from "../base/varint.ts";

/** What is looked at of etcdserverpb.Request, the request of etcd's v2 API (frozen: on disk in logs of etcd up to 3.5). */
export interface V2Request {
  readonly method: string;
  readonly path: string;
  readonly value: string;
}

/** Throws WireError. */
export function decodeV2Request(bytes: Uint8Array): V2Request {
  let method = "";
  let path = "";
  let value = "";
  const reader = new WireReader(bytes);
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 18) method = utf8Text(reader.view());
    else if (tag === 26) path = utf8Text(reader.view());
    else if (tag === 34) value = utf8Text(reader.view());
    else reader.skip(tag);
  }
  return { method, path, value };
}
