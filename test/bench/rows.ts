/** Every row of the table and every group, in the order in which they are measured. */
import { CLUSTER_GROUPS, CLUSTER_ROWS } from "./cluster_rows.ts";
import type { ClusterGroup, Group, Row } from "./definitions.ts";
import { MEMBER_GROUPS, MEMBER_ROWS } from "./member_rows.ts";
import { STORAGE_GROUPS, STORAGE_ROWS } from "./storage_rows.ts";

export const ROWS: Row[] = [...MEMBER_ROWS, ...STORAGE_ROWS, ...CLUSTER_ROWS];
export const GROUPS: (Group | ClusterGroup)[] = [...MEMBER_GROUPS, ...STORAGE_GROUPS, ...CLUSTER_GROUPS];
