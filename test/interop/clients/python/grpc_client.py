"""The Python package aetcd, which speaks gRPC through grpcio, against one server: grpc_client.py HOST PORT."""

import asyncio
import sys

import aetcd

host, port = sys.argv[1], int(sys.argv[2])


async def put_and_get(client):
    await client.put(b"p/a", b"1")
    await client.put(b"p/b", b"2")
    previous = await client.put(b"p/a", b"one", prev_kv=True)
    assert previous.prev_kv.value == b"1", previous
    assert (await client.get(b"p/a")).value == b"one"
    assert await client.get(b"absent") is None
    values = [kv.value for kv in await client.get_prefix(b"p/", sort_order="descend")]
    assert values == [b"2", b"one"], values
    assert await client.replace(b"p/a", b"one", b"three") is True
    assert await client.replace(b"p/a", b"one", b"never") is False
    assert await client.delete(b"p/a")
    result = await client.delete_prefix(b"p/")
    assert result.deleted == 1, result


async def transactions(client):
    made, _ = await client.transaction(
        compare=[client.transactions.version(b"txn") == 0],
        success=[client.transactions.put(b"txn", b"made")],
        failure=[client.transactions.get(b"txn")],
    )
    assert made is True
    made, answers = await client.transaction(
        compare=[client.transactions.value(b"txn") == b"other"],
        success=[],
        failure=[client.transactions.get(b"txn")],
    )
    assert made is False and len(answers) == 1, answers


async def leases(client):
    lease = await client.lease(60)
    await client.put(b"leased", b"x", lease=lease)
    answer = await client.get_lease_info(lease.id)
    assert answer.grantedTTL == 60 and list(answer.keys) == [b"leased"], answer
    assert (await client.refresh_lease(lease.id)).TTL == 60
    await client.revoke_lease(lease.id)
    assert await client.get(b"leased") is None


async def watches(client):
    watch = await client.watch_prefix(b"w/")
    await client.put(b"w/1", b"a")
    await client.delete(b"w/1")
    seen = []
    async for event in watch:
        seen.append((event.kind, event.kv.key, event.kv.value))
        if len(seen) == 2:
            break
    await watch.cancel()
    assert [key for _, key, _ in seen] == [b"w/1", b"w/1"] and seen[0][2] == b"a", seen


async def locks(client):
    async with client.lock(b"resource", ttl=30) as lock:
        assert await lock.is_acquired()
        assert not await client.lock(b"resource", ttl=30).acquire(timeout=1)


async def cluster(client):
    status = await client.status()
    assert status.version == "3.7.1", status.version
    assert len([member async for member in client.members()]) == 1
    await client.compact(2)


async def main():
    async with aetcd.Client(host=host, port=port, timeout=20) as client:
        for check in (put_and_get, transactions, leases, watches, locks, cluster):
            await asyncio.wait_for(check(client), 30)
            print("ok", check.__name__)


asyncio.run(main())
