/** Prometheus' text format, version 0.0.4. */

import type { Histogram } from "../base/histogram.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** A histogram that is one of several under a name. */
export interface HistogramSample {
  readonly labels: Labels;
  readonly histogram: Histogram;
}

export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "gauge" | "counter" | "histogram";
  readonly value: number | Histogram | readonly Sample[] | readonly HistogramSample[];
}

/** A metric without samples is left out, as Prometheus' own library leaves it out. */
export function metricsText(metrics: readonly Metric[]): string {
  return metrics.filter(({ value }) => !Array.isArray(value) || value.length > 0).map(metricText).join("");
}

function metricText({ name, help, type, value }: Metric): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samplesText(name, value)}`;
}

function samplesText(name: string, value: Metric["value"]): string {
  if (typeof value === "number") return line(name, {}, value);
  if ("bounds" in value) return histogramText(name, {}, value);
  return value.map((sample: Sample | HistogramSample) =>
    "histogram" in sample
      ? histogramText(name, sample.labels, sample.histogram)
      : line(name, sample.labels, sample.value)
  ).join("");
}

function histogramText(name: string, labels: Labels, { bounds, counts, count, sum }: Histogram): string {
  let text = "";
  let below = 0;
  for (let i = 0; i < bounds.length; i++) {
    below += counts[i];
    text += line(`${name}_bucket`, { ...labels, le: String(bounds[i]) }, below);
  }
  return text + line(`${name}_bucket`, { ...labels, le: "+Inf" }, count) + line(`${name}_sum`, labels, sum) +
    line(`${name}_count`, labels, count);
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escape(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${number(value)}\n`;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
