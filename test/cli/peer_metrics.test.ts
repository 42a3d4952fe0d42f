import { expect, test } from "bun:test";
import { metricsText } from "../../src/cli/metrics_text.ts";
import { peerMetrics } from "../../src/cli/peer_metrics.ts";
import { Membership } from "../../src/membership/mod.ts";
import { PeerStatistics } from "../../src/peer/mod.ts";

test("what happened between members is told under etcd's names, and what never did is left out", () => {
  const membership = new Membership();
  for (const id of [0xan, 0xbn, 0xcn]) {
    membership.add({ id, name: "", peerUrls: [`http://m${id}:1`], clientUrls: [], isLearner: false });
  }
  const statistics = new PeerStatistics();
  Object.assign(statistics.of(0xbn), { isActive: true, sentBytes: 10, receivedBytes: 20, snapshotsSent: 1 });
  statistics.of(0xbn).roundTripSeconds.observe(0.001);
  Object.assign(statistics.of(0xcn), { disconnectCount: 2, sentFailures: 3 });
  const text = metricsText(peerMetrics({ memberId: 0xan, membership, statistics }));
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#") && !line.includes("_bucket"));
  expect(lines).toEqual([
    'etcd_network_known_peers{Local="a",Remote="b"} 1',
    'etcd_network_known_peers{Local="a",Remote="c"} 1',
    'etcd_network_active_peers{Local="a",Remote="b"} 1',
    'etcd_network_active_peers{Local="a",Remote="c"} 0',
    'etcd_network_disconnected_peers_total{Local="a",Remote="c"} 2',
    'etcd_network_peer_sent_bytes_total{To="b"} 10',
    'etcd_network_peer_received_bytes_total{From="b"} 20',
    'etcd_network_peer_sent_failures_total{To="c"} 3',
    'etcd_network_snapshot_send_success{To="b"} 1',
    'etcd_network_peer_round_trip_time_seconds_sum{To="b"} 0.001',
    'etcd_network_peer_round_trip_time_seconds_count{To="b"} 1',
  ]);
});
