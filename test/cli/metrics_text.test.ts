import { expect, test } from "bun:test";
import { Histogram } from "../../src/base/histogram.ts";
import { metricsText } from "../../src/cli/metrics_text.ts";

test("a number is one line below its help and type", () => {
  expect(metricsText([{ name: "a_total", help: "All of a.", type: "counter", value: 7 }]))
    .toBe("# HELP a_total All of a.\n# TYPE a_total counter\na_total 7\n");
});

test("labels are quoted, and a metric without samples is left out", () => {
  const value = [{ labels: { prefix: '/a"b\\c\n/', x: "y" }, value: 1.5 }];
  expect(metricsText([
    { name: "a", help: "A.", type: "gauge", value },
    { name: "b", help: "B.", type: "gauge", value: [] },
  ])).toBe('# HELP a A.\n# TYPE a gauge\na{prefix="/a\\"b\\\\c\\n/",x="y"} 1.5\n');
});

test("a histogram's buckets hold everything below them", () => {
  const histogram = new Histogram([0.5, 1]);
  for (const observed of [0.25, 0.75, 0.75, 3]) histogram.observe(observed);
  expect(metricsText([{ name: "h", help: "H.", type: "histogram", value: histogram }]).split("\n").slice(2)).toEqual([
    'h_bucket{le="0.5"} 1',
    'h_bucket{le="1"} 3',
    'h_bucket{le="+Inf"} 4',
    "h_sum 4.75",
    "h_count 4",
    "",
  ]);
});

test("histograms of one name are told apart by their labels", () => {
  const histogram = new Histogram([1]);
  histogram.observe(0.5);
  const value = [{ labels: { To: "a" }, histogram }, { labels: { To: "b" }, histogram: new Histogram([1]) }];
  expect(metricsText([{ name: "h", help: "H.", type: "histogram", value }]).split("\n").slice(2)).toEqual([
    'h_bucket{To="a",le="1"} 1',
    'h_bucket{To="a",le="+Inf"} 1',
    'h_sum{To="a"} 0.5',
    'h_count{To="a"} 1',
    'h_bucket{To="b",le="1"} 0',
    'h_bucket{To="b",le="+Inf"} 0',
    'h_sum{To="b"} 0',
    'h_count{To="b"} 0',
    "",
  ]);
});
