/** The right edge of a bucket that rows are appended to: what has to be written anew, as it changes. */

import { EMPTY_BYTES } from "../../base/bytes.ts";
import { BOLT_DEPTH_MAX } from "../../base/limits.ts";
import { Branch } from "./branches.ts";
import type { BoltBucket } from "./bucket.ts";
import { ELEMENT_SIZE, PAGE_HEADER_SIZE } from "./format.ts";
import type { Node } from "./node.ts";
import { PageReader, type PageSource } from "./pages.ts";
import { type BoltRow, rowsOfLeaf } from "./rows.ts";
import { isFilled } from "./tree.ts";

export interface Spine {
  /** Rows of the last leaf, if it is filled up: they are written again, before the new ones. */
  readonly rows: readonly BoltRow[];
  /** What stays of the branches on the edge, the parents of leaves first. */
  readonly levels: readonly Level[];
  /** Key of the last row that stays where it is. */
  readonly lastKey: Uint8Array;
  /** Pages of the nodes that are written anew. */
  readonly pages: number;
}

export interface Level {
  readonly pages: readonly number[];
  readonly keys: readonly Uint8Array[];
}

export const NO_SPINE: Spine = { rows: [], levels: [], lastKey: EMPTY_BYTES, pages: 0 };

export function branchesOf(spine: Spine): Branch[] {
  return spine.levels.map((level) => {
    const branch = new Branch();
    level.pages.forEach((page, i) => branch.add(page, level.keys[i].length, level.keys[i], 0));
    return branch;
  });
}

export async function readSpine(source: PageSource, bucket: BoltBucket): Promise<Spine> {
  const inline = bucket.inlineNode();
  if (inline !== undefined) return { ...NO_SPINE, rows: rowsOfLeaf(inline) };
  const reader = new PageReader(source);
  const node = reader.node;
  const levels: { pages: number[]; keys: Uint8Array[] }[] = [];
  let pages = 0;
  await reader.open(bucket.rootPage);
  for (node.requireTree(true); !node.isLeaf; node.requireTree(false)) {
    if (levels.length === BOLT_DEPTH_MAX) throw node.error(`it is more than ${BOLT_DEPTH_MAX} levels below its root`);
    const level = childrenOf(node);
    levels.unshift(level);
    pages += (node.end - node.start) / source.pageSize;
    await reader.open(level.pages.at(-1)!);
  }
  const size = node.end - node.start;
  const isRewritten = size === source.pageSize && !isFilled(usedOf(node), source.pageSize);
  if (!isRewritten && levels.length === 0) levels.push({ pages: [node.page], keys: [node.key(0).slice()] });
  // The last child of a branch is written anew, and so is no child any more; a leaf that stays is the exception.
  for (let i = isRewritten ? 0 : 1; i < levels.length; i++) {
    levels[i].pages.pop();
    levels[i].keys.pop();
  }
  if (isRewritten) return { rows: rowsOfLeaf(node), levels, lastKey: EMPTY_BYTES, pages: pages + 1 };
  return { rows: [], levels, lastKey: node.key(node.count - 1).slice(), pages };
}

function childrenOf(node: Node): { pages: number[]; keys: Uint8Array[] } {
  const pages: number[] = [];
  const keys: Uint8Array[] = [];
  for (let i = 0; i < node.count; i++) {
    keys.push(node.key(i).slice());
    pages.push(node.childPage);
  }
  return { pages, keys };
}

function usedOf(leaf: Node): number {
  let used = PAGE_HEADER_SIZE;
  for (let i = 0; i < leaf.count; i++) {
    leaf.element(i);
    used += ELEMENT_SIZE + leaf.keySize + leaf.valueSize;
  }
  return used;
}
