/** The npm package `etcd3` against one server: `node main.mjs http://host:port`. Each check prints a line. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Etcd3, EtcdLockFailedError } from "etcd3";

const hosts = process.argv[2];

const CHECKS = {
  "put, get, ranges and deletes": async (client) => {
    for (let i = 0; i < 5; i++) await client.put(`n/${i}`).value(`value ${i}`);
    assert.equal(await client.get("n/3").string(), "value 3");
    assert.equal(await client.get("absent").string(), null);
    assert.deepEqual(await client.getAll().prefix("n/").keys(), ["n/0", "n/1", "n/2", "n/3", "n/4"]);
    assert.equal(await client.getAll().prefix("n/").count(), 5);
    assert.deepEqual(await client.getAll().prefix("n/").limit(2).sort("Key", "Descend").strings(), {
      "n/4": "value 4",
      "n/3": "value 3",
    });
    const previous = await client.put("n/0").value(Buffer.from([0, 255, 7])).getPrevious();
    assert.equal(previous.value.toString(), "value 0");
    assert.deepEqual(await client.get("n/0").buffer(), Buffer.from([0, 255, 7]));
    const deleted = await client.delete().range(client.range({ start: "n/1", end: "n/3" })).exec();
    assert.equal(deleted.deleted, "2");
    assert.equal((await client.delete().prefix("n/").exec()).deleted, "3");
  },

  "transactions": async (client) => {
    const txn = () =>
      client.if("txn", "Create", "==", 0).then(client.put("txn").value("made")).else(client.get("txn")).commit();
    assert.equal((await txn()).succeeded, true);
    const second = await txn();
    assert.equal(second.succeeded, false);
    assert.equal(second.responses[0].response_range.kvs[0].value.toString(), "made");
  },

  "a lease is kept alive and revoked": async (client) => {
    const lease = client.lease(2);
    await lease.put("leased").value("x");
    await once(lease, "keepaliveSucceeded");
    assert.equal(await client.get("leased").string(), "x");
    const kept = await lease.keepaliveOnce();
    assert.equal(kept.TTL, "2");
    await lease.revoke();
    assert.equal(await client.get("leased").string(), null);
  },

  "watches": async (client) => {
    const watcher = await client.watch().prefix("w/").withPreviousKV().create();
    const seen = [];
    watcher.on("put", (kv, previous) => seen.push(`put ${kv.key}=${kv.value} was ${previous?.value ?? "absent"}`));
    const gone = new Promise((resolve) =>
      watcher.on("delete", (kv) => {
        seen.push(`delete ${kv.key}`);
        resolve();
      })
    );
    await client.put("w/1").value("a");
    await client.put("w/1").value("b");
    await client.delete().key("w/1").exec();
    await gone;
    assert.deepEqual(seen, ["put w/1=a was absent", "put w/1=b was a", "delete w/1"]);
    await watcher.cancel();

    const { header } = await client.put("w/2").value("past").exec();
    const fromPast = await client.watch().key("w/2").startRevision(header.revision).watcher();
    const [event] = await once(fromPast, "put");
    assert.equal(event.value.toString(), "past");
    await fromPast.cancel();
  },

  "locks": async (client) => {
    const lock = client.lock("lock").ttl(10);
    await lock.acquire();
    await assert.rejects(() => client.lock("lock").acquire(), EtcdLockFailedError);
    await lock.release();
    assert.equal(await client.lock("lock").do(() => "inside"), "inside");
  },

  "an election": async (client) => {
    const election = client.election("office", 10);
    const first = election.campaign("one");
    await first.wait();
    assert.equal(await election.leader(), "one");
    const observer = await election.observe();
    assert.equal(observer.leader(), "one");
    const second = election.campaign("two");
    const changed = once(observer, "change");
    await first.resign();
    await second.wait();
    await changed;
    assert.equal(await election.leader(), "two");
    await observer.cancel();
    await second.resign();
  },

  "software transactional memory": async (client) => {
    await client.put("stm/counter").value(0);
    const raise = () =>
      client.stm({ retries: 200 }).transact(async (tx) => {
        const value = Number(await tx.get("stm/counter").string());
        await tx.put("stm/counter").value(String(value + 1));
      });
    await Promise.all(Array.from({ length: 10 }, raise));
    assert.equal(await client.get("stm/counter").string(), "10");
  },

  "a namespace": async (client) => {
    const inside = client.namespace("ns/");
    await inside.put("key").value("x");
    assert.equal(await client.get("ns/key").string(), "x");
    assert.deepEqual(await inside.getAll().keys(), ["key"]);
  },

  "maintenance and cluster": async (client) => {
    const status = await client.maintenance.status();
    assert.equal(status.version, "3.7.1");
    const { members } = await client.cluster.memberList({});
    assert.equal(members.length, 1);
    assert.equal(members[0].ID, status.leader);
    assert.deepEqual((await client.maintenance.alarm({ action: "Get", memberID: "0", alarm: "None" })).alarms, []);
  },

  "errors": async (client) => {
    await assert.rejects(() => client.get("a").revision(1_000_000).exec(), /required revision is a future revision/);
    await assert.rejects(() => client.leaseClient.leaseRevoke({ ID: "123" }), /requested lease not found/);
  },
};

const client = new Etcd3({ hosts });
for (const [name, check] of Object.entries(CHECKS)) {
  let timer;
  const late = new Promise((_, reject) => timer = setTimeout(() => reject(new Error("took more than 20 s")), 20_000));
  try {
    await Promise.race([check(client), late]);
    console.log(`ok   ${name}`);
  } catch (error) {
    console.log(`FAIL ${name}: ${error.stack ?? error}`);
    process.exitCode = 1;
  }
  clearTimeout(timer);
}
client.close();
