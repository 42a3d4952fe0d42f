/** Questions between members, and their answers. */
import { expect, test } from "bun:test";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { type Question, urlAsker } from "../../src/peer/mod.ts";
import { CLUSTER_ID, Machine, World } from "./world.ts";

function get(path: string): Question {
  return { method: "GET", path, contentType: "", body: new Uint8Array() };
}

function post(path: string, body: string): Question {
  return { method: "POST", path, contentType: "application/json", body: utf8(body) };
}

test("a question reaches the peer as it is, and its answer comes back", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  const body = utf8("no lease here");
  b.handler.answerTo = () => Promise.resolve({ status: 404, contentType: "text/html", body });
  const answer = await world.wait(a.transport.ask(b.id, post("/leases?x=1", '{"a":1}'), 1000));
  expect(answer).toEqual({ status: 404, contentType: "text/html", body, clusterId: CLUSTER_ID });
  expect(b.handler.questions).toEqual([post("/leases?x=1", '{"a":1}')]);
  await world.wait(a.transport.ask(b.id, get("/members"), 1000));
  expect(b.handler.questions[1]).toEqual(get("/members"));
  // So etcd asks for hashes.
  const withBody: Question = { ...post("/members/hashkv", '{"revision":3}'), method: "GET" };
  await world.wait(a.transport.ask(b.id, withBody, 1000));
  expect(b.handler.questions[2]).toEqual(withBody);
});

test("no answer in time is none", async () => {
  const world = new World();
  const { a, b } = await world.pair();
  b.handler.answerTo = () => new Promise(() => {});
  const startMs = world.clock.nowMs;
  expect(await world.wait(a.transport.ask(b.id, get("/version"), 300))).toBeUndefined();
  expect(world.clock.nowMs - startMs).toBeWithin(300, 320);
});

test("where one address does not answer, the next one is asked", async () => {
  const world = new World();
  const a = new Machine(world, "a", 0xan).start();
  const b = new Machine(world, "b", 0xbn).start();
  world.host("empty");
  a.transport.addPeer(b.id, ["http://empty:2380", b.url]);
  for (const question of [get("/members"), post("/leases", "{}")]) {
    expect((await world.wait(a.transport.ask(b.id, question, 1000)))?.status).toBe(200);
  }
});

test("what may have been done is not asked for again at the next address", async () => {
  const world = new World();
  const a = new Machine(world, "a", 0xan).start();
  const b = new Machine(world, "b", 0xbn).start();
  let count = 0;
  const { url } = world.impostor("c", (exchange) => {
    if (exchange.method === "POST") count++;
    exchange.abort();
  });
  a.transport.addPeer(b.id, [url, b.url]);
  expect(await world.wait(a.transport.ask(b.id, post("/members/promote/1", ""), 1000))).toBeUndefined();
  expect(count).toBe(1);
  expect(b.handler.questions).toEqual([]);
});

test("anyone who reaches a peer URL can ask there, of whatever cluster", async () => {
  const world = new World();
  const a = new Machine(world, "a", 0xan).start(0xc7n);
  const ask = urlAsker({ network: world.host("b"), clock: world.clock });
  const answer = await world.wait(ask(a.url, get("/members"), 1000));
  expect(answer?.status).toBe(200);
  expect(answer?.clusterId).toBe(0xc7n);
  expect(utf8Text(answer!.body)).toBe("this is /members");
  expect(await world.wait(ask("http://nowhere:2380", get("/members"), 1000))).toBeUndefined();
  expect(await world.wait(ask("not a url", get("/members"), 1000))).toBeUndefined();
  await world.clock.advance(1000);
  expect(world.clock.timerCount).toBe(0);
});

test("a peer of another cluster does not take the question", async () => {
  const world = new World();
  const a = new Machine(world, "a", 0xan).start();
  const b = new Machine(world, "b", 0xbn).start(0xc2n);
  a.know(b);
  const answer = await world.wait(a.transport.ask(b.id, get("/members/hashkv"), 1000));
  expect(answer).toMatchObject({ status: 412, clusterId: 0xc2n });
  expect(b.handler.questions).toEqual([]);
});
