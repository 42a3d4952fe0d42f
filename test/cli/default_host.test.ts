import { expect, test } from "bun:test";
import { defaultRouteInterface } from "../../src/cli/default_host.ts";

const HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

test("the interface of the default route is the one with the smallest metric", () => {
  const table = HEADER +
    "eth1\t00000000\t0100000A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n" +
    "eth0\t00000000\t010011AC\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" +
    "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
  expect(defaultRouteInterface(table)).toBe("eth0");
});

test("a machine without a default route has none", () => {
  expect(defaultRouteInterface(HEADER)).toBeUndefined();
  expect(defaultRouteInterface("")).toBeUndefined();
});
