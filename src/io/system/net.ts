/**
 * The real network. In Bun it is `Bun.listen`, elsewhere node:net, which Bun has too: a watch of ten thousand watchers
 * at 200 puts/s costs a fifth less of the process through the former, since node's streams are code of their own around
 * every read and write.
 */

import type { Network } from "../net.ts";
import { bunNetwork } from "./bun_net.ts";
import { nodeNetwork } from "./node_net.ts";

export const systemNetwork: Network = "Bun" in globalThis ? bunNetwork : nodeNetwork;

export { bunNetwork, nodeNetwork };
