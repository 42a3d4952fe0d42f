import { createHash } from "node:crypto";
import { describe, expect, test } from "bun:test";
import { type Pair, utf8, utf8Text } from "../../src/base/bytes.ts";
import {
  bootstrapClusterId,
  bootstrapMemberId,
  canAddVoter,
  canPromoteLearner,
  canRemoveVoter,
  changeContextFromJson,
  ChangeType,
  idFromText,
  type Member,
  memberFromJson,
  memberJson,
  membersFromJson,
  Membership,
  type MembershipRecords,
  membersJson,
  promotionJson,
  readChange,
} from "../../src/membership/mod.ts";

const sha1 = (data: Uint8Array) => new Uint8Array(createHash("sha1").update(data).digest());
const LARGE = 18446744073709551615n;

function member(id: bigint, fields: Partial<Member> = {}): Member {
  return { id, name: "", peerUrls: [`http://m${id}`], clientUrls: [], isLearner: false, ...fields };
}

describe("ids", () => {
  test("are those that etcd 3.7.1 derives from peer URLs and token", () => {
    const memberId = bootstrapMemberId(["http://127.0.0.1:21991"], "etcd-cluster", sha1);
    expect(memberId).toBe(14000430938710040825n);
    expect(bootstrapClusterId([memberId], sha1)).toBe(8639196726871416029n);
  });

  test("are read as Go reads them", () => {
    expect(["ffffffffffffffff", "00AB", "0"].map(idFromText)).toEqual([LARGE, 0xabn, 0n]);
    expect(["", "xyz", "10000000000000000", "-1", " 1"].map(idFromText)).toEqual(new Array(5).fill(undefined));
  });
});

describe("a member's JSON", () => {
  test("is what etcd writes when it bootstraps", () => {
    const bootstrapped = member(14000430938710040825n, { name: "default", peerUrls: ["http://127.0.0.1:21991"] });
    const json = `{"id":14000430938710040825,"peerURLs":["http://127.0.0.1:21991"],"name":"default"}`;
    expect(memberJson(bootstrapped)).toBe(json);
    expect(memberFromJson(json)).toEqual(bootstrapped);
  });

  test("carries learners and client URLs, and reads null lists", () => {
    const learner = { id: 1n, name: "", peerUrls: ["a"], clientUrls: ["b"], isLearner: true };
    expect(memberFromJson(memberJson(learner))).toEqual(learner);
    expect(memberFromJson(`{"id":1,"peerURLs":null}`).peerUrls).toEqual([]);
  });

  test("escapes text as Go does, and finds the id behind any of it", () => {
    const odd = member(LARGE, { name: `"id":7,<&>\u2028\b\u0001`, peerUrls: ["http://a?b=1&c=2"] });
    const json = memberJson(odd);
    expect(json).toBe(
      `{"id":18446744073709551615,"peerURLs":["http://a?b=1\\u0026c=2"],` +
        `"name":"\\"id\\":7,\\u003c\\u0026\\u003e\\u2028\\b\\u0001"}`,
    );
    expect(memberFromJson(json)).toEqual(odd);
    expect(memberFromJson(`{"name":"\\"id\\":7","peerURLs":["a"], "id" : 9007199254740993}`).id).toBe(
      9007199254740993n,
    );
  });

  test("without an id of 64 bits is none", () => {
    expect(() => memberFromJson(`{"peerURLs":[]}`)).toThrow("without an id");
    expect(() => memberFromJson(`{"id":18446744073709551616}`)).toThrow("without an id");
  });

  test("with a name or URLs that are no texts is refused", () => {
    expect(() => memberFromJson(`{"id":1,"name":2}`)).toThrow("without a name and URLs that are texts");
    expect(() => memberFromJson(`{"id":1,"peerURLs":[3]}`)).toThrow("without a name and URLs that are texts");
  });

  test("says in a conf change whether a learner is promoted", () => {
    const context = promotionJson(5n);
    expect(context).toBe(`{"id":5,"peerURLs":null,"isPromote":true}`);
    expect(changeContextFromJson(context)).toEqual({ member: member(5n, { peerUrls: [] }), isPromote: true });
    expect(changeContextFromJson(memberJson(member(5n))).isPromote).toBe(false);
  });
});

test("a list of members is read as it is written, and as etcd writes it", () => {
  const members = [member(1n, { name: "a", clientUrls: ["b"] }), member(LARGE, { isLearner: true })];
  expect(membersFromJson(membersJson(members))).toEqual(members);
  const answered = `[{"id":3780263214805286300,"peerURLs":["http://127.0.0.1:21421"],"name":"e2",` +
    `"clientURLs":["http://127.0.0.1:21420"]},{"id":18446744073709551615,"peerURLs":["http://m"],"isLearner":true}]\n`;
  expect(membersFromJson(answered).map(({ id }) => id)).toEqual([3780263214805286300n, LARGE]);
  expect(membersJson(membersFromJson(answered))).toBe(answered.trimEnd());
  expect([membersJson([]), membersFromJson("null")]).toEqual(["null", []]);
  for (const wrong of ["", "{}", "[1]", "[null]", "7"]) expect(() => membersFromJson(wrong)).toThrow(SyntaxError);
});

describe("the strict check", () => {
  /** "s": a voter that has started, "n": one that has not, "l": a learner. */
  const of = (kinds: string): Member[] =>
    [...kinds].map((kind, i) => member(BigInt(i + 1), { name: kind === "s" ? "x" : "", isLearner: kind === "l" }));

  test("of an added voter wants a quorum of started ones, the new one not among them", () => {
    expect(["s", "ss", "sss", "sssn", "ssl"].filter((kinds) => !canAddVoter(of(kinds)))).toEqual([]);
    expect(["n", "sn", "ssn", "ssnn", "snl"].filter((kinds) => canAddVoter(of(kinds)))).toEqual([]);
  });

  test("of a removed voter wants a quorum of started ones among those left", () => {
    expect(["ns", "nss", "ssssn"].filter((kinds) => !canRemoveVoter(of(kinds), 1n))).toEqual([]);
    expect(["s", "sn", "ssnn", "snl"].filter((kinds) => canRemoveVoter(of(kinds), 1n))).toEqual([]);
  });

  test("of a promotion counts the learner as started", () => {
    expect(["sl", "snl", "ssnl"].filter((kinds) => !canPromoteLearner(of(kinds)))).toEqual([]);
    expect(["nl", "snnl"].filter((kinds) => canPromoteLearner(of(kinds)))).toEqual([]);
  });
});

/** Applies one change; promotion is adding once more. */
function change(membership: Membership, kind: keyof typeof ChangeType | "PROMOTE", about: Member) {
  const type = ChangeType[kind === "PROMOTE" ? "ADD_NODE" : kind];
  const context = kind === "PROMOTE" ? promotionJson(about.id) : memberJson(about);
  return membership.change(readChange(type, about.id, context));
}

describe("a change", () => {
  function cluster(options = {}): Membership {
    const membership = new Membership(options);
    change(membership, "ADD_NODE", member(1n));
    change(membership, "ADD_NODE", member(2n));
    change(membership, "ADD_LEARNER_NODE", member(3n, { isLearner: true }));
    change(membership, "ADD_NODE", member(4n));
    change(membership, "REMOVE_NODE", member(4n));
    return membership;
  }

  const CHANGES: [what: string, kind: Parameters<typeof change>[1], about: Member, error: string | undefined][] = [
    ["a new voter", "ADD_NODE", member(5n), undefined],
    ["a member that is there", "ADD_NODE", member(1n), "member_exists"],
    ["a member that was removed", "ADD_NODE", member(4n), "member_removed"],
    ["a member with another's URL", "ADD_NODE", member(5n, { peerUrls: ["http://x", "http://m2"] }), "peer_url_exists"],
    ["a learner too many", "ADD_LEARNER_NODE", member(5n, { isLearner: true }), "too_many_learners"],
    ["a voter by a learner's change", "ADD_LEARNER_NODE", member(5n), undefined],
    ["removing a member", "REMOVE_NODE", member(2n), undefined],
    ["removing it again", "REMOVE_NODE", member(4n), "member_removed"],
    ["removing nobody", "REMOVE_NODE", member(9n), "member_not_found"],
    ["promoting a learner", "PROMOTE", member(3n), undefined],
    ["promoting a voter", "PROMOTE", member(2n), "member_not_learner"],
    ["promoting nobody", "PROMOTE", member(9n), "member_not_found"],
    ["promoting a removed one", "PROMOTE", member(4n), "member_removed"],
    ["other URLs", "UPDATE_NODE", member(2n, { peerUrls: ["http://y"] }), undefined],
    ["the same URLs", "UPDATE_NODE", member(2n), undefined],
    ["another's URLs", "UPDATE_NODE", member(2n, { peerUrls: ["http://m1"] }), "peer_url_exists"],
    ["URLs of nobody", "UPDATE_NODE", member(9n), "member_not_found"],
    ["URLs of a removed one", "UPDATE_NODE", member(4n), "member_removed"],
  ];
  test.each(CHANGES)("%s: is judged as etcd judges it, and refused without effect", (_what, kind, about, error) => {
    const membership = cluster();
    const before = membership.records();
    expect(change(membership, kind, about)).toBe(error as never);
    if (error !== undefined) expect(membership.records()).toEqual(before);
  });

  test("makes a learner a voter, and changes URLs and nothing else", () => {
    const membership = cluster();
    membership.updateAttributes(3n, "three", ["http://c"]);
    change(membership, "PROMOTE", member(3n, { peerUrls: [] }));
    change(membership, "UPDATE_NODE", member(3n, { name: "other", peerUrls: ["http://new"], isLearner: true }));
    expect(membership.get(3n)).toEqual({
      id: 3n,
      name: "three",
      peerUrls: ["http://new"],
      clientUrls: ["http://c"],
      isLearner: false,
    });
  });

  test("admits as many learners as were configured", () => {
    const membership = cluster({ learnersMax: 2 });
    expect(change(membership, "ADD_LEARNER_NODE", member(5n, { isLearner: true }))).toBeUndefined();
    expect(change(membership, "ADD_LEARNER_NODE", member(6n, { isLearner: true }))).toBe("too_many_learners");
  });

  test("that contradicts itself stops whoever reads it", () => {
    expect(() => readChange(ChangeType.ADD_NODE, 1n, memberJson(member(2n)))).toThrow("describes 2");
    expect(() => readChange(9, 1n, memberJson(member(1n)))).toThrow("type 9");
  });
});

describe("the membership", () => {
  test("lists members by id, publishes attributes and remembers removals", () => {
    const membership = new Membership();
    for (const id of [LARGE, 3n, 20n]) membership.add(member(id));
    membership.updateAttributes(3n, "three", ["http://c"]);
    change(membership, "REMOVE_NODE", member(20n));
    membership.updateAttributes(20n, "late", []);
    expect(() => membership.updateAttributes(4n, "nobody", [])).toThrow("unknown");
    expect(membership.list().map(({ id, name }) => [id, name])).toEqual([[3n, "three"], [LARGE, ""]]);
    expect(membership.isRemoved(20n)).toBe(true);
    expect(membership.removedIds()).toEqual([20n]);
  });

  test("agrees on versions that this program is new enough for", () => {
    const membership = new Membership();
    expect(membership.hasVersion(3, 0)).toBe(false);
    membership.setClusterVersion("3.6.0");
    expect([membership.hasVersion(3, 6), membership.hasVersion(3, 7)]).toEqual([true, false]);
    expect(() => membership.setClusterVersion("3.8.0")).toThrow("invalid downgrade");
    expect(() => membership.setClusterVersion("3.7")).toThrow("no version");
    expect(membership.clusterVersion).toBe("3.6.0");
  });
});

describe("the saved form", () => {
  const text = (pairs: readonly Pair[]) => pairs.map(([key, value]) => `${utf8Text(key)} ${utf8Text(value)}`);
  const pair = (key: string, value: string): Pair => [utf8(key), utf8(value)];
  const NOTHING: MembershipRecords = { members: [], membersRemoved: [], cluster: [] };

  test("is etcd's to the byte, keys in the order of their bytes", () => {
    const membership = new Membership();
    expect(membership.records()).toEqual(NOTHING);
    for (const id of [0x2n, 0x10n, LARGE, 0xan]) membership.add(member(id, { peerUrls: ["http://p"] }));
    for (const id of [0x10n, 0xan]) change(membership, "REMOVE_NODE", member(id));
    membership.setClusterVersion("3.7.0");
    const { members, membersRemoved, cluster } = membership.records();
    expect(text(members)).toEqual([
      `2 {"id":2,"peerURLs":["http://p"]}`,
      `ffffffffffffffff {"id":18446744073709551615,"peerURLs":["http://p"]}`,
    ]);
    expect(text(membersRemoved)).toEqual(["10 removed", "a removed"]);
    expect(text(cluster)).toEqual(["clusterVersion 3.7.0"]);
    membership.setDowngrade({ isEnabled: true, targetVersion: "3.6.0" });
    expect(text(membership.records().cluster)).toEqual([
      "clusterVersion 3.7.0",
      `downgrade {"target-version":"3.6.0","enabled":true}`,
    ]);
  });

  test("is read again", () => {
    const membership = new Membership();
    membership.add(member(7n, { name: "seven", clientUrls: ["http://c"], isLearner: true }));
    membership.add(member(8n));
    change(membership, "REMOVE_NODE", member(8n));
    membership.setClusterVersion("3.6.0");
    membership.setDowngrade({ isEnabled: false, targetVersion: "" });
    const other = new Membership();
    other.add(member(9n));
    other.restore(membership.records());
    expect(other.records()).toEqual(membership.records());
    expect(other.list()).toEqual(membership.list());
    expect(other.downgrade).toEqual({ isEnabled: false, targetVersion: "" });
    other.restore(NOTHING);
    expect(other.records()).toEqual(NOTHING);
  });

  const UNREADABLE: [what: string, records: Partial<MembershipRecords>, message: string][] = [
    ["a key that is no id", { members: [pair("x", "{}")] }, `bucket members of the database holds an unreadable`],
    ["a member that is no JSON", { members: [pair("1", "{")] }, `under the key "1"`],
    ["a removed key that is no id", { membersRemoved: [pair("", "removed")] }, "members_removed"],
    ["a version that is none", { cluster: [pair("clusterVersion", "three")] }, "no version"],
    ["a version of the future", { cluster: [pair("clusterVersion", "4.0.0")] }, "invalid downgrade"],
    ["a downgrade to nowhere", { cluster: [pair("downgrade", `{"enabled":true}`)] }, `bucket cluster`],
  ];
  test.each(UNREADABLE)("with %s is refused", (_what, records, message) => {
    expect(() => new Membership().restore({ ...NOTHING, ...records })).toThrow(message);
  });
});
