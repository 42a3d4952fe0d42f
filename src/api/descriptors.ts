import type { DescService } from "@bufbuild/protobuf";
import { Auth } from "../gen/etcdserverpb/auth_pb.ts";
import { Cluster } from "../gen/etcdserverpb/cluster_pb.ts";
import { KV } from "../gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../gen/etcdserverpb/lease_pb.ts";
import { Maintenance } from "../gen/etcdserverpb/maintenance_pb.ts";
import { Watch } from "../gen/etcdserverpb/watch_pb.ts";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Lease as BrowserLease } from "../gen/keelson/v1/lease_pb.ts";
import { Watch as BrowserWatch } from "../gen/keelson/v1/watch_pb.ts";
import { Election } from "../gen/v3electionpb/election_pb.ts";
import { Lock } from "../gen/v3lockpb/lock_pb.ts";

/** The definitions of all services of the client port, for doors that must know messages (Connect, the JSON gateway, reflection). */
export const serviceDescriptors: readonly DescService[] = [
  KV,
  Watch,
  Lease,
  Cluster,
  Maintenance,
  Auth,
  Election,
  Lock,
  Health,
  ServerReflection,
  ServerReflectionAlpha,
  BrowserWatch,
  BrowserLease,
];
