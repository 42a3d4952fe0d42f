/**
 * Is there an order of operations, each somewhere between its invocation and its return, in which a sequential model gives
 * every one its outcome? The search of Wing and Gong with Lowe's memory of what was tried, as porcupine does it: a depth
 * first search over (operations placed, state), never twice from the same pair.
 *
 * An operation that is not certain (its outcome is unknown) may be placed at any time after its invocation, or never. Each
 * could go anywhere, so the search tries such operations last, and only right before a certain one that notices them: any
 * order can be rearranged so, by moving them behind whatever does not.
 *
 * Operations may have a rank that never falls along any acceptable order (etcd's revision): then the search has next to
 * nothing to try, as only the lowest rank can be next.
 */

export interface Candidate<Operation> {
  readonly operation: Operation;
  readonly invoked: number;
  /** Infinity if it never returned. */
  readonly returned: number;
  /** It did happen. */
  readonly isCertain: boolean;
  readonly rank: number | undefined;
}

export interface SequentialModel<State, Operation> {
  readonly initial: State;
  /** The states in which the operation, with the outcome it had, may leave the model; none if it cannot be next. */
  step(state: State, operation: Operation): readonly State[];
  /** Whether it may matter which of two comes first. */
  isRelated(a: Operation, b: Operation): boolean;
  /** Equal for equal states. */
  text(state: State): string;
}

export type SearchResult<Operation> =
  | { readonly verdict: "linearizable"; readonly steps: number }
  /** `placed` operations found an order; none of `stuck` can follow. */
  | { readonly verdict: "impossible"; readonly steps: number; readonly placed: number; readonly stuck: Operation[] }
  | { readonly verdict: "gave up"; readonly steps: number };

/** Gives up after `stepsMax` steps of the model. */
export function search<State, Operation>(
  model: SequentialModel<State, Operation>,
  candidates: readonly Candidate<Operation>[],
  stepsMax: number,
): SearchResult<Operation> {
  return new Search(model, candidates, stepsMax).run();
}

/** A place in the search: what may come next, and what of it was tried. */
interface Frame<State> {
  /** What was placed to get here; -1 at the root. */
  readonly placed: number;
  readonly state: State;
  /** Uncertain operations placed since the last certain one that nothing has noticed yet. */
  readonly unnoticed: readonly number[];
  readonly options: readonly number[];
  tried: number;
  /** Further states that the option tried last may lead to. */
  alternatives: State[];
}

const END = -1;
const NONE: readonly number[] = [];

class Search<State, Operation> {
  readonly #model: SequentialModel<State, Operation>;
  readonly #all: readonly Candidate<Operation>[];
  readonly #stepsMax: number;
  /** Certain operations not placed, in the order of their invocation, as a linked list. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  #first = END;
  #certainLeft = 0;
  readonly #uncertain: number[] = [];
  readonly #placed: Uint16Array;
  readonly #seen = new Set<string>();
  #steps = 0;

  constructor(model: SequentialModel<State, Operation>, candidates: readonly Candidate<Operation>[], stepsMax: number) {
    this.#model = model;
    this.#all = candidates.toSorted((a, b) => a.invoked - b.invoked);
    this.#stepsMax = stepsMax;
    this.#next = new Int32Array(candidates.length).fill(END);
    this.#previous = new Int32Array(candidates.length).fill(END);
    this.#placed = new Uint16Array((candidates.length >>> 4) + 1);
    let last = END;
    for (let at = 0; at < this.#all.length; at++) {
      if (!this.#all[at].isCertain) {
        this.#uncertain.push(at);
        continue;
      }
      if (last === END) this.#first = at;
      else this.#next[last] = at;
      this.#previous[at] = last;
      last = at;
      this.#certainLeft++;
    }
  }

  run(): SearchResult<Operation> {
    const stack: Frame<State>[] = [this.#frame(END, this.#model.initial, [])];
    let deepest = 0;
    let stuck: Operation[] = [];
    while (this.#certainLeft > 0) {
      if (this.#steps > this.#stepsMax) return { verdict: "gave up", steps: this.#steps };
      const frame = stack[stack.length - 1];
      const child = this.#advance(frame);
      if (child !== undefined) {
        stack.push(child);
        continue;
      }
      if (stack.length > deepest) {
        deepest = stack.length;
        stuck = frame.options.filter((at) => this.#all[at].isCertain).map((at) => this.#all[at].operation);
      }
      stack.pop();
      if (stack.length === 0) return { verdict: "impossible", steps: this.#steps, placed: deepest - 1, stuck };
      this.#unplace(frame.placed);
    }
    return { verdict: "linearizable", steps: this.#steps };
  }

  /** Places the next option that leads somewhere new. */
  #advance(frame: Frame<State>): Frame<State> | undefined {
    for (;;) {
      if (frame.alternatives.length === 0) {
        if (frame.tried === frame.options.length) return undefined;
        const { operation } = this.#all[frame.options[frame.tried++]];
        this.#steps++;
        frame.alternatives = [...this.#model.step(frame.state, operation)];
        continue;
      }
      const state = frame.alternatives.pop()!;
      const at = frame.options[frame.tried - 1];
      const unnoticed = this.#unnoticedAfter(frame, at);
      this.#place(at);
      if (this.#isNew(state)) return this.#frame(at, state, unnoticed);
      this.#unplace(at);
    }
  }

  #frame(placed: number, state: State, unnoticed: readonly number[]): Frame<State> {
    return { placed, state, unnoticed, options: this.#options(placed, unnoticed), tried: 0, alternatives: [] };
  }

  /** What may come next: invoked before any other that is left has returned, and of the lowest rank. */
  #options(placed: number, unnoticed: readonly number[]): number[] {
    let horizon = Infinity;
    let rank = Infinity;
    const certain: number[] = [];
    for (let at = this.#first; at !== END && this.#all[at].invoked <= horizon; at = this.#next[at]) {
      certain.push(at);
      horizon = Math.min(horizon, this.#all[at].returned);
      rank = Math.min(rank, this.#all[at].rank ?? Infinity);
    }
    const isLowest = (at: number) => (this.#all[at].rank ?? 0) <= rank;
    const noticesAll = (at: number) => unnoticed.every((other) => this.#isRelated(other, at));
    // Of two that do not notice each other only one order is tried.
    const isInOrder = (at: number) => !unnoticed.includes(placed) || at > placed || this.#isRelated(placed, at);
    const uncertain = this.#uncertain.filter((at) =>
      !this.#isPlaced(at) && this.#all[at].invoked <= horizon && isInOrder(at)
    );
    return [...certain.filter((at) => isLowest(at) && noticesAll(at)), ...uncertain];
  }

  #unnoticedAfter({ unnoticed }: Frame<State>, at: number): readonly number[] {
    if (this.#all[at].isCertain) return NONE;
    return [...unnoticed.filter((other) => !this.#isRelated(other, at)), at];
  }

  #isRelated(a: number, b: number): boolean {
    return this.#model.isRelated(this.#all[a].operation, this.#all[b].operation);
  }

  /**
   * What is unnoticed need not be told apart: where it made a difference, the same was reached without it, and it is
   * placed when something notices.
   */
  #isNew(state: State): boolean {
    const size = this.#seen.size;
    this.#seen.add(`${String.fromCharCode(...this.#placed)}|${this.#model.text(state)}`);
    return this.#seen.size > size;
  }

  #isPlaced(at: number): boolean {
    return (this.#placed[at >>> 4] & (1 << (at & 15))) !== 0;
  }

  #place(at: number): void {
    this.#placed[at >>> 4] |= 1 << (at & 15);
    if (!this.#all[at].isCertain) return;
    this.#certainLeft--;
    const next = this.#next[at];
    const previous = this.#previous[at];
    if (previous === END) this.#first = next;
    else this.#next[previous] = next;
    if (next !== END) this.#previous[next] = previous;
  }

  #unplace(at: number): void {
    this.#placed[at >>> 4] &= ~(1 << (at & 15));
    if (!this.#all[at].isCertain) return;
    this.#certainLeft++;
    const next = this.#next[at];
    const previous = this.#previous[at];
    if (previous === END) this.#first = at;
    else this.#next[previous] = at;
    if (next !== END) this.#previous[next] = at;
  }
}
