import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import {
  ClusterVersionSetRequestSchema,
  DowngradeInfoSetRequestSchema,
} from "../../src/gen/membershippb/membership_pb.ts";
import { succeeded } from "../../src/apply/mod.ts";
import { Membership } from "../../src/membership/mod.ts";
import { Versions } from "../../src/member/versions.ts";
import { RaftOperation } from "../../src/wire/mod.ts";
import { RecordingLog } from "../harness/recording_log.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

class World {
  readonly clock = new SimulatedClock();
  readonly log = new RecordingLog();
  readonly membership = new Membership();
  readonly versions: Versions;
  members: (string | undefined)[] = ["3.7.1"];
  isLeader = true;
  saving: () => Promise<void> = () => Promise.resolve();

  constructor(clusterVersion: string, downgradeCheckMs = 5000) {
    if (clusterVersion !== "") this.membership.setClusterVersion(clusterVersion);
    this.versions = new Versions({
      clock: this.clock,
      log: this.log,
      membership: this.membership,
      clusterId: 1n,
      memberId: 2n,
      isLeader: () => this.isLeader,
      memberVersions: () => this.members,
      linearizableRead: (read) => read(this.isLeader ? undefined : "no_leader"),
      propose: (operation, body, settle) => {
        if (operation === RaftOperation.CLUSTER_VERSION_SET) {
          this.apply(fromBinary(ClusterVersionSetRequestSchema, body).ver);
        } else {
          const { enabled, ver } = fromBinary(DowngradeInfoSetRequestSchema, body);
          this.membership.setDowngrade({ isEnabled: enabled, targetVersion: ver });
        }
        settle(succeeded(1), undefined);
      },
      saveState: () => this.saving(),
      downgradeCheckMs,
    });
  }

  get version(): string {
    return this.membership.clusterVersion;
  }

  /** A version that was agreed on, whoever proposed it. */
  apply(version: string): void {
    this.membership.setClusterVersion(version);
    this.versions.onApplied();
  }

  get isDowngrading(): boolean {
    return this.membership.downgrade?.isEnabled === true;
  }

  started(): this {
    this.versions.start(() => {});
    return this;
  }

  validate(target: string): string | undefined {
    let result: string | undefined = "never settled";
    this.versions.validateDowngrade(target, (error) => result = error);
    return result;
  }

  enable(target: string): string | undefined {
    let result: string | undefined = "never settled";
    this.versions.enableDowngrade(target, (error) => result = error);
    return result;
  }
}

describe("the cluster version", () => {
  test("is set by the first leader, and risen to the oldest member's at a start", () => {
    expect(new World("").started().version).toBe("3.7.0");
    const world = new World("3.6.0").started();
    expect(world.version).toBe("3.7.0");
    expect(world.log.lines.map(({ message }) => message)).toEqual([
      "updating cluster version using v3 API",
      "updated cluster version",
      "cluster version is updated",
    ]);
    expect(world.log.lines[1].fields)
      .toEqual({ "cluster-id": "1", "local-member-id": "2", from: "3.6", to: "3.7" });
  });

  test("waits for the members that cannot be asked or are older, and rises with the last", async () => {
    const world = new World("3.6.0");
    world.members = ["3.7.1", undefined];
    world.started();
    await world.clock.advance(10_000);
    expect(world.version).toBe("3.6.0");
    world.members = ["3.7.1", "3.6.9"];
    await world.clock.advance(10_000);
    expect(world.version).toBe("3.6.0");
    world.members = ["3.7.1", "3.7.0"];
    await world.clock.advance(5000);
    expect(world.version).toBe("3.7.0");
  });

  test("is saved by every member, whoever leads, and told where it is lowered", async () => {
    const world = new World("3.7.0");
    world.isLeader = false;
    let savedCount = 0;
    world.saving = () => Promise.resolve(void savedCount++);
    world.started();
    world.apply("3.7.0");
    expect(savedCount).toBe(0);
    world.apply("3.6.0");
    expect(savedCount).toBe(1);
    expect(world.log.with("Cluster version downgrade detected, forcing snapshot")[0].fields)
      .toEqual({ "prev-cluster-version": "3.7.0", "new-cluster-version": "3.6.0" });
    world.apply("3.7.0");
    expect(savedCount).toBe(2);
  });

  test("is not touched by a member that does not lead", async () => {
    const world = new World("3.6.0");
    world.isLeader = false;
    world.started();
    await world.clock.advance(10_000);
    expect(world.version).toBe("3.6.0");
  });
});

describe("a downgrade", () => {
  test("goes back one minor version and no further", () => {
    const world = new World("3.7.0").started();
    for (const target of ["3.6", "3.6.0", "3.6.9", "3.6.0-rc.1"]) expect(world.validate(target)).toBeUndefined();
    for (const target of ["3.5", "3.7", "3.8.0", "2.6.0"]) {
      expect(world.validate(target)).toBe("invalid_downgrade_target_version");
    }
    for (const target of ["", "3", "x", "3.6.0.1", "v3.6"]) {
      expect(world.validate(target)).toBe("wrong_downgrade_version_format");
    }
    expect(new World("").validate("3.6")).toBe("cluster_version_unavailable");
    world.isLeader = false;
    expect(world.validate("3.6")).toBe("no_leader");
  });

  test("lowers the cluster version, and is one at a time", async () => {
    const world = new World("3.7.0").started();
    expect(world.enable("3.6")).toBeUndefined();
    expect(world.version).toBe("3.7.0");
    await world.clock.advance(5000);
    expect(world.version).toBe("3.6.0");
    expect(world.validate("3.5")).toBe("downgrade_in_process");
    expect(world.enable("3.6")).toBe("invalid_downgrade_target_version");
    expect(world.log.with("reject downgrade request")).toHaveLength(1);
    await world.clock.advance(20_000);
    expect([world.version, world.isDowngrading]).toEqual(["3.6.0", true]);
  });

  test("is ready once the state is saved with the older version, however often that is tried", async () => {
    const world = new World("3.7.0").started();
    world.saving = () => Promise.reject(new Error("disk full"));
    world.enable("3.6");
    await world.clock.advance(9000);
    expect(world.log.with("failed to update storage version")).toHaveLength(2);
    expect(world.log.with("ready to downgrade")).toEqual([]);
    world.saving = () => Promise.resolve();
    await world.clock.advance(9000);
    expect(world.log.with("updated storage version")[0].fields).toEqual({ "new-storage-version": "3.6.0" });
    expect(world.log.with("The server is ready to downgrade")).toHaveLength(1);
  });

  test("that is cancelled raises it again", async () => {
    const world = new World("3.7.0").started();
    world.enable("3.6");
    await world.clock.advance(5000);
    let isSettled = false;
    world.versions.cancelDowngrade(() => isSettled = true);
    expect([isSettled, world.isDowngrading]).toEqual([true, false]);
    await world.clock.advance(5000);
    expect(world.version).toBe("3.7.0");
    world.versions.cancelDowngrade(() => {});
    expect(world.log.with("failed to cancel downgrade")[0].fields)
      .toEqual({ error: "etcdserver: no inflight downgrade job" });
  });

  test("is over when every member is of its version", async () => {
    const world = new World("3.7.0").started();
    world.enable("3.6");
    await world.clock.advance(5000);
    world.members = ["3.6.4", "3.7.1"];
    await world.clock.advance(10_000);
    expect(world.isDowngrading).toBe(true);
    world.members = ["3.6.4", "3.6.5"];
    await world.clock.advance(10_000);
    expect([world.version, world.isDowngrading]).toEqual(["3.6.0", false]);
    expect(world.log.with("the cluster has been downgraded")).toHaveLength(1);
  });

  test("never ends by itself where nobody looks", async () => {
    const world = new World("3.7.0", 0).started();
    world.enable("3.6");
    world.members = ["3.6.4"];
    await world.clock.advance(60_000);
    expect(world.isDowngrading).toBe(true);
  });

  test("to a version that the members are already below is not begun", async () => {
    const world = new World("3.7.0").started();
    world.membership.setDowngrade({ isEnabled: true, targetVersion: "3.5.0" });
    await world.clock.advance(5000);
    expect(world.version).toBe("3.7.0");
    expect(world.log.with("Failed to monitor cluster version").length).toBeGreaterThan(0);
  });
});

test("stopping leaves no timer behind", () => {
  const world = new World("3.7.0").started();
  world.versions.stop();
  expect(world.clock.timerCount).toBe(0);
});
