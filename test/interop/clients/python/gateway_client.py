"""The Python package etcd3gw, which speaks to the JSON gateway, against one server: gateway_client.py HOST PORT."""

import queue
import sys
import threading
import time

import etcd3gw

host, port = sys.argv[1], int(sys.argv[2])
client = etcd3gw.client(host=host, port=port, api_path="/v3/")


def put_and_get():
    assert client.put("g/a", "1")
    assert client.put(b"g/\x00\xff", b"\x00\xff")
    assert client.get("g/a") == [b"1"]
    assert client.get(b"g/\x00\xff") == [b"\x00\xff"]
    assert client.get("absent") == []
    (value, metadata), = client.get("g/a", metadata=True)
    assert value == b"1" and metadata["version"] == "1", metadata
    assert [pair[0] for pair in client.get_prefix("g/", sort_order="descend")] == [b"1", b"\x00\xff"]
    assert client.create("g/new", "x") is True
    assert client.create("g/new", "y") is False
    assert client.replace("g/new", "x", "z") is True
    assert client.replace("g/new", "x", "never") is False
    assert client.delete("g/new") is True
    assert client.delete("g/new") is False
    assert client.delete_prefix("g/") is True


def leases():
    lease = client.lease(ttl=60)
    assert client.put("leased", "x", lease)
    assert 58 <= lease.ttl() <= 60
    assert lease.refresh() == 60
    assert lease.keys() == [b"leased"]
    assert lease.revoke()
    assert client.get("leased") == []


def locks():
    with client.lock("resource", ttl=30) as lock:
        assert lock.is_acquired()
        assert not client.lock("resource", ttl=30).acquire()
        assert lock.refresh() == 30
    assert client.lock("resource", ttl=30).acquire()


def watches():
    seen = queue.Queue()
    events, cancel = client.watch_prefix("w/")
    threading.Thread(target=lambda: [seen.put(event) for event in events], daemon=True).start()
    time.sleep(0.5)
    client.put("w/1", "a")
    client.delete("w/1")
    first, second = seen.get(timeout=10), seen.get(timeout=10)
    assert first["kv"]["key"] == b"w/1" and first["kv"]["value"] == b"a", first
    assert second["type"] == "DELETE", second
    cancel()


def transactions():
    result = client.transaction({
        "compare": [{"key": "dHhu", "result": "EQUAL", "target": "VERSION", "version": 0}],
        "success": [{"request_put": {"key": "dHhu", "value": "dg=="}}],
        "failure": [{"request_range": {"key": "dHhu"}}],
    })
    assert result["succeeded"] is True, result
    assert client.get("txn") == [b"v"]


def cluster():
    assert client.status()["version"] == "3.7.1"
    assert len(list(client.members())) == 1


for check in (put_and_get, leases, locks, watches, transactions, cluster):
    check()
    print("ok", check.__name__)
