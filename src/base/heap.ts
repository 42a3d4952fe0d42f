/** A binary min-heap whose nodes know where they are, so that any of them can be moved or removed in O(log n). */

/** What a node must carry. A node is in at most one heap; `position` belongs to the heap. */
export interface HeapNode {
  /** Smallest first; among equals the order is unspecified but the same on every run. */
  priority: number;
  /** Index in the heap's array; -1 while the node is in no heap. */
  position: number;
}

export class Heap<T extends HeapNode> {
  #nodes: T[] = [];

  get size(): number {
    return this.#nodes.length;
  }

  /** The node with the smallest priority. */
  peek(): T | undefined {
    return this.#nodes[0];
  }

  push(node: T): void {
    node.position = this.#nodes.length;
    this.#nodes.push(node);
    this.#up(node);
  }

  pop(): T | undefined {
    const first = this.#nodes[0];
    if (first !== undefined) this.remove(first);
    return first;
  }

  /** Takes out a node of this heap. */
  remove(node: T): void {
    const position = node.position;
    const last = this.#nodes.pop()!;
    node.position = -1;
    if (last === node) return;
    last.position = position;
    this.#nodes[position] = last;
    this.#settle(last);
  }

  /** Changes the priority of a node of this heap. */
  update(node: T, priority: number): void {
    node.priority = priority;
    this.#settle(node);
  }

  /** Replaces the contents by `nodes`, in O(n). The array becomes the heap's. */
  fill(nodes: T[]): void {
    this.clear();
    this.#nodes = nodes;
    for (let i = 0; i < nodes.length; i++) nodes[i].position = i;
    for (let i = (nodes.length >> 1) - 1; i >= 0; i--) this.#down(nodes[i]);
  }

  clear(): void {
    for (const node of this.#nodes) node.position = -1;
    this.#nodes = [];
  }

  #settle(node: T): void {
    this.#up(node);
    this.#down(node);
  }

  #up(node: T): void {
    const nodes = this.#nodes;
    let position = node.position;
    while (position > 0) {
      const parent = nodes[(position - 1) >> 1];
      if (parent.priority <= node.priority) break;
      nodes[position] = parent;
      const above = parent.position;
      parent.position = position;
      position = above;
    }
    nodes[position] = node;
    node.position = position;
  }

  #down(node: T): void {
    const nodes = this.#nodes;
    const size = nodes.length;
    let position = node.position;
    for (;;) {
      let child = 2 * position + 1;
      if (child >= size) break;
      if (child + 1 < size && nodes[child + 1].priority < nodes[child].priority) child++;
      const lower = nodes[child];
      if (lower.priority >= node.priority) break;
      nodes[position] = lower;
      lower.position = position;
      position = child;
    }
    nodes[position] = node;
    node.position = position;
  }
}
