/** Connects in every way that the real network knows, and prints what happened: the same on every runtime. */

import type { ByteStream, ListenAddress } from "../../../src/io/net.ts";
import { systemNetwork as network } from "../../../src/io/system/mod.ts";

const directory = process.argv[2];

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Answers every word with itself, and an end with an end. */
function echo(stream: ByteStream): void {
  stream.listen({
    onData: (bytes) => void stream.write(bytes.slice()),
    onEnd: () => stream.end(),
    onDrain() {},
    onClose() {},
  });
}

/** What a server says to a question and an end. */
async function ask(to: ListenAddress, question: string): Promise<string> {
  const stream = await network.connect(to, 1000);
  let answer = "";
  return await new Promise((resolve) => {
    stream.listen({
      onData: (bytes) => answer += text(bytes),
      onEnd() {},
      onDrain() {},
      onClose: (error) => resolve(`${answer}, ${error === undefined ? "closed" : error.message}`),
    });
    stream.write(new TextEncoder().encode(question));
    stream.end();
  });
}

async function failure(to: ListenAddress): Promise<string> {
  return await network.connect(to, 1000).then(() => "connected", (error) => error.code);
}

const acceptor = { onStream: echo, onStreamClosed() {} };
const path = `${directory}/x.sock`;
const v4 = await network.listen({ host: "127.0.0.1", port: 0 }, acceptor);
const v6 = await network.listen({ host: "::1", port: 0 }, acceptor);
const unix = await network.listen({ path }, acceptor);
const portOf = (address: string) => Number(address.split(":").at(-1));

console.log("IPv4:", await ask({ host: "127.0.0.1", port: portOf(v4.address) }, "one"));
console.log("a name:", await ask({ host: "localhost", port: portOf(v4.address) }, "two"));
console.log("IPv6:", await ask({ host: "::1", port: portOf(v6.address) }, "three"));
console.log("Unix:", await ask({ path }, "four"));
for (const server of [v4, v6, unix]) server.close();
console.log("refused:", await failure({ host: "127.0.0.1", port: portOf(v4.address) }));
console.log("no socket:", await failure({ path }));
console.log("addresses:", (await network.resolve("127.0.0.1")).join(), (await network.resolve("localhost"))[0]);
process.exit(0);
