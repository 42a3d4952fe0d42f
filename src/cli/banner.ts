/** A few lines for whoever starts a member by hand. */

import { resolve } from "node:path";
import { ETCD_VERSION, KEELSON_VERSION } from "../base/version.ts";
import type { Config } from "./config.ts";

export function bannerText(config: Config, isColoured: boolean): string {
  const bold = (text: string) => isColoured ? `\x1b[1m${text}\x1b[0m` : text;
  const urls = [...config.listenClientUrls, ...config.listenClientHttpUrls].map((url) => url.text);
  const url = config.listenClientUrls[0].text;
  const endpoint = url === "http://localhost:2379" || url === "http://127.0.0.1:2379" ? "" : ` --endpoints ${url}`;
  const lines = [
    "",
    `  ${bold("Keelson")} ${KEELSON_VERSION}, speaking etcd ${ETCD_VERSION}`,
    `  data     ${resolve(config.dataDir)}`,
    `  clients  ${urls.join(", ")}`,
    `  try      etcdctl${endpoint} put greeting hello`,
    `           etcdctl${endpoint} watch greeting`,
    "",
  ];
  return lines.map((line) => `${line}\n`).join("");
}
