/** etcd's figures of the way between members. What never happened has no sample, as in etcd. */

import { idText, type Membership } from "../membership/mod.ts";
import type { PeerFigures, PeerStatistics } from "../peer/mod.ts";
import type { HistogramSample, Labels, Metric, Sample } from "./metrics_text.ts";

export interface PeerMetricsParts {
  readonly memberId: bigint;
  readonly membership: Membership;
  readonly statistics: PeerStatistics;
}

type NumberName = {
  [Name in keyof PeerFigures]: PeerFigures[Name] extends number ? Name : never;
}[keyof PeerFigures];
type HistogramName = "snapshotSendSeconds" | "snapshotReceiveSeconds" | "roundTripSeconds";

/** Names and texts are etcd's. */
const NUMBERS: [figure: NumberName, name: string, label: "To" | "From", type: "counter" | "gauge", help: string][] = [
  ["sentBytes", "peer_sent_bytes_total", "To", "counter", "The total number of bytes sent to peers."],
  ["receivedBytes", "peer_received_bytes_total", "From", "counter", "The total number of bytes received from peers."],
  ["sentFailures", "peer_sent_failures_total", "To", "counter", "The total number of send failures from peers."],
  [
    "receivedFailures",
    "peer_received_failures_total",
    "From",
    "counter",
    "The total number of receive failures from peers.",
  ],
  ["snapshotsSent", "snapshot_send_success", "To", "counter", "Total number of successful snapshot sends"],
  ["snapshotsFailed", "snapshot_send_failures", "To", "counter", "Total number of snapshot send failures"],
  ["snapshotsSending", "snapshot_send_inflights_total", "To", "gauge", "Total number of inflight snapshot sends"],
  ["snapshotsReceived", "snapshot_receive_success", "From", "counter", "Total number of successful snapshot receives"],
  [
    "snapshotReceiveFailures",
    "snapshot_receive_failures",
    "From",
    "counter",
    "Total number of snapshot receive failures",
  ],
  [
    "snapshotsReceiving",
    "snapshot_receive_inflights_total",
    "From",
    "gauge",
    "Total number of inflight snapshot receives",
  ],
];

const HISTOGRAMS: [figure: HistogramName, name: string, label: "To" | "From", help: string][] = [
  [
    "snapshotSendSeconds",
    "snapshot_send_total_duration_seconds",
    "To",
    "Total latency distributions of v3 snapshot sends",
  ],
  [
    "snapshotReceiveSeconds",
    "snapshot_receive_total_duration_seconds",
    "From",
    "Total latency distributions of v3 snapshot receives",
  ],
  ["roundTripSeconds", "peer_round_trip_time_seconds", "To", "Round-Trip-Time histogram between peers"],
];

export function peerMetrics({ memberId, membership, statistics }: PeerMetricsParts): Metric[] {
  const peers = [...statistics.entries()];
  const pair = (id: bigint): Labels => ({ Local: idText(memberId), Remote: idText(id) });
  const known: Sample[] = membership.list().filter(({ id }) => id !== memberId)
    .map(({ id }) => ({ labels: pair(id), value: 1 }));
  const metrics: Metric[] = [
    { name: "etcd_network_known_peers", type: "gauge", help: "The current number of known peers.", value: known },
    {
      name: "etcd_network_active_peers",
      type: "gauge",
      help: "The current number of active peer connections.",
      value: peers.map(([id, { isActive }]) => ({ labels: pair(id), value: isActive ? 1 : 0 })),
    },
    {
      name: "etcd_network_disconnected_peers_total",
      type: "counter",
      help: "The total number of disconnected peers.",
      value: peers.filter(([, { disconnectCount }]) => disconnectCount > 0)
        .map(([id, { disconnectCount }]) => ({ labels: pair(id), value: disconnectCount })),
    },
  ];
  for (const [figure, name, label, type, help] of NUMBERS) {
    const value: Sample[] = peers.filter(([, figures]) => figures[figure] > 0)
      .map(([id, figures]) => ({ labels: { [label]: idText(id) }, value: figures[figure] }));
    metrics.push({ name: `etcd_network_${name}`, type, help, value });
  }
  for (const [figure, name, label, help] of HISTOGRAMS) {
    const value: HistogramSample[] = peers.filter(([, figures]) => figures[figure].count > 0)
      .map(([id, figures]) => ({ labels: { [label]: idText(id) }, histogram: figures[figure] }));
    metrics.push({ name: `etcd_network_${name}`, type: "histogram", help, value });
  }
  return metrics;
}
