/** Every row of the table and every group, in the order in which they are measured. */
import type { Group, Row } from "./definitions.ts";
import { MEMBER_GROUPS, MEMBER_ROWS } from "./member_rows.ts";
import { STORAGE_GROUPS, STORAGE_ROWS } from "./storage_rows.ts";

export const ROWS: Row[] = [...MEMBER_ROWS, ...STORAGE_ROWS];
export const GROUPS: Group[] = [...MEMBER_GROUPS, ...STORAGE_GROUPS];
