/** Records the answers of an etcd that was just started: `bun test/http/gateway/record.ts http://127.0.0.1:2379`. */

import { writeFileSync } from "node:fs";
import process from "node:process";
import { type GatewayAnswer, gatewayAnswer } from "./answers.ts";
import { GATEWAY_REQUESTS } from "./requests.ts";

const answers: GatewayAnswer[] = [];
for (const request of GATEWAY_REQUESTS) answers.push(await gatewayAnswer(process.argv[2], request));
writeFileSync(new URL("recorded.json", import.meta.url), `${JSON.stringify(answers, null, 2)}\n`);
process.exit(0);
