import { expect, test } from "bun:test";
import { Heap, type HeapNode } from "../../src/base/heap.ts";

class Node implements HeapNode {
  priority: number;
  position = -1;
  constructor(priority: number) {
    this.priority = priority;
  }
}

function drain(heap: Heap<Node>): number[] {
  const priorities: number[] = [];
  for (let node = heap.pop(); node !== undefined; node = heap.pop()) priorities.push(node.priority);
  return priorities;
}

test("nodes come out smallest first", () => {
  const heap = new Heap<Node>();
  for (const priority of [5, 1, 4, 1, 3]) heap.push(new Node(priority));
  expect(drain(heap)).toEqual([1, 1, 3, 4, 5]);
  expect(heap.peek()).toBeUndefined();
});

test("a removed node knows that it is in no heap", () => {
  const heap = new Heap<Node>();
  const node = new Node(1);
  heap.push(node);
  heap.remove(node);
  expect(node.position).toBe(-1);
  expect(heap.size).toBe(0);
});

test("filling replaces the contents and orders them", () => {
  const heap = new Heap<Node>();
  heap.push(new Node(0));
  heap.fill([9, 2, 7, 2, 8, 1].map((priority) => new Node(priority)));
  expect(drain(heap)).toEqual([1, 2, 2, 7, 8, 9]);
});

test("any sequence of pushes, moves and removals keeps the order", () => {
  let seed = 7;
  const random = (limit: number) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % limit;
  const heap = new Heap<Node>();
  const model: Node[] = [];
  for (let i = 0; i < 5000; i++) {
    const action = random(4);
    const node = model[random(model.length + 1)];
    if (action < 2 || node === undefined) {
      const added = new Node(random(1000));
      model.push(added);
      heap.push(added);
    } else if (action === 2) heap.update(node, random(1000));
    else {
      heap.remove(node);
      model.splice(model.indexOf(node), 1);
    }
    if (model.length > 0) expect(heap.peek()!.priority).toBe(Math.min(...model.map((node) => node.priority)));
  }
  expect(drain(heap)).toEqual(model.map((node) => node.priority).sort((a, b) => a - b));
});
