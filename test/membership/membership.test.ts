import { createHash } from "node:crypto";
import { describe, expect, test } from "bun:test";
import {
  bootstrapClusterId,
  bootstrapMemberId,
  memberFromJson,
  memberJson,
  Membership,
} from "../../src/membership/mod.ts";

const sha1 = (data: Uint8Array) => new Uint8Array(createHash("sha1").update(data).digest());

describe("ids", () => {
  test("are those that etcd 3.7.1 derives from peer URLs and token", () => {
    const memberId = bootstrapMemberId(["http://127.0.0.1:21991"], "etcd-cluster", sha1);
    expect(memberId).toBe(14000430938710040825n);
    expect(bootstrapClusterId([memberId], sha1)).toBe(8639196726871416029n);
  });
});

describe("a member's JSON", () => {
  test("is what etcd writes when it bootstraps", () => {
    const member = {
      id: 14000430938710040825n,
      name: "default",
      peerUrls: ["http://127.0.0.1:21991"],
      clientUrls: [],
      isLearner: false,
    };
    const json = `{"id":14000430938710040825,"peerURLs":["http://127.0.0.1:21991"],"name":"default"}`;
    expect(memberJson(member)).toBe(json);
    expect(memberFromJson(member.id, json)).toEqual(member);
  });

  test("carries learners and client URLs, and reads null lists", () => {
    const learner = { id: 1n, name: "", peerUrls: ["a"], clientUrls: ["b"], isLearner: true };
    expect(memberFromJson(1n, memberJson(learner))).toEqual(learner);
    expect(memberFromJson(1n, `{"id":1,"peerURLs":null}`).peerUrls).toEqual([]);
  });
});

describe("the membership", () => {
  test("lists members by id, publishes attributes and remembers removals", () => {
    const membership = new Membership();
    for (const id of [18446744073709551615n, 3n, 20n]) {
      membership.add({ id, name: "", peerUrls: [], clientUrls: [], isLearner: false });
    }
    membership.updateAttributes(3n, "three", ["http://c"]);
    membership.updateAttributes(4n, "nobody", []);
    membership.remove(20n);
    expect(membership.list().map((member) => [member.id, member.name])).toEqual([[3n, "three"], [
      18446744073709551615n,
      "",
    ]]);
    expect(membership.isRemoved(20n)).toBe(true);
    expect(membership.removedIds()).toEqual([20n]);
    expect(membership.get(4n)).toBeUndefined();
  });
});
