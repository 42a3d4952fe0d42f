/** How errors are put on the peer port (frozen: who asks tells some of them apart by their texts). Source: etcd 3.7.1. */

export const PROMOTION_TEXTS = {
  member_not_found: "membership: ID not found",
  member_not_learner: "membership: can only promote a learner member",
  learner_not_ready: "etcdserver: can only promote a learner member which is in sync with leader",
} as const;

export const LEASE_TEXTS = {
  NOT_FOUND: "lease not found",
  NOT_PRIMARY: "not a primary lessor",
  TIMEOUT: "waiting for node to catch up its applied index has timed out",
} as const;
