import { expect, test } from "bun:test";
import { utf8Text } from "../../src/base/bytes.ts";
import { encodeV2Store } from "../../src/member/v2_store.ts";
import { Membership } from "../../src/membership/mod.ts";

const TIME = `"ExpireTime":"0001-01-01T00:00:00Z"`;

/** A node as etcd 3.7.1 writes it. */
function node(path: string, index: number, value: string, children: string): string {
  return `{"Path":"${path}","CreatedIndex":${index},"ModifiedIndex":${index},${TIME},"Value":${
    JSON.stringify(value)
  },` +
    `"Children":${children}}`;
}

test("the tree is what etcd 3.7.1 wrote for the same member", () => {
  const membership = new Membership();
  const id = 0xa759d8e1c4eeb940n;
  const member = { id, name: "default", isLearner: false };
  membership.add({ ...member, peerUrls: ["http://127.0.0.1:21001"], clientUrls: ["http://127.0.0.1:21000"] });
  membership.setClusterVersion("3.7.0");
  const path = "/0/members/a759d8e1c4eeb940";
  const attributes = node(
    `${path}/attributes`,
    2,
    `{"name":"default","clientURLs":["http://127.0.0.1:21000"]}`,
    "null",
  );
  const raftAttributes = node(`${path}/raftAttributes`, 1, `{"peerURLs":["http://127.0.0.1:21001"]}`, "null");
  const leaves = node(path, 1, "", `{"attributes":${attributes},"raftAttributes":${raftAttributes}}`);
  const members = node("/0/members", 1, "", `{"a759d8e1c4eeb940":${leaves}}`);
  const own = node("/0", 0, "", `{"members":${members},"version":${node("/0/version", 3, "3.7.0", "null")}}`);
  const root = node("/", 0, "", `{"0":${own},"1":${node("/1", 0, "", "{}")}}`);
  const expected = JSON.parse(`{"Root":${root},"CurrentIndex":3,"CurrentVersion":2}`);
  expect(JSON.parse(utf8Text(encodeV2Store(membership)))).toEqual(expected);
});

test("learners and removed members are in it", () => {
  const membership = new Membership();
  membership.restore({
    members: [[
      new TextEncoder().encode("7"),
      new TextEncoder().encode(`{"id":7,"peerURLs":["http://a:1"],"isLearner":true}`),
    ]],
    membersRemoved: [[new TextEncoder().encode("9"), new TextEncoder().encode("removed")]],
    cluster: [],
  });
  const { Root } = JSON.parse(utf8Text(encodeV2Store(membership)));
  const own = Root.Children["0"].Children;
  expect(JSON.parse(own.members.Children["7"].Children.raftAttributes.Value)).toEqual({
    peerURLs: ["http://a:1"],
    isLearner: true,
  });
  expect(own.members.Children["7"].Children.attributes).toBeUndefined();
  expect(own.removed_members.Children["9"]).toMatchObject({ Path: "/0/removed_members/9", Value: "", Children: null });
  expect(own.version).toBeUndefined();
});
