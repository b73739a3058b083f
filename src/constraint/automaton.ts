/** Runs a language: a deterministic automaton over bytes, made of the language's parts. */

import { Allowance, SizeError } from "./allowance.ts";
import type { Language } from "./language.ts";
import { finish, type Work } from "./work.ts";

/** The state that nothing leads out of, and that accepts nothing. */
export const DEAD = -1;

/** States of one automaton at most: a kilobyte each. */
const MOST_STATES = 20_000;
/**
 * Nodes of all states together, at most: some 16 bytes each while an automaton is made, beside which
 * `(a?){10000}` took a gigabyte.
 */
const MOST_NODES = 4_000_000;

/** Separates the members of an object. */
const BETWEEN_MEMBERS = new TextEncoder().encode(", ");

/** Edges of an automaton with free moves (Thompson's construction). */
class Graph {
  readonly free: number[][] = [];
  readonly edges: { low: number; high: number; to: number }[][] = [];

  node(): number {
    this.edges.push([]);
    return this.free.push([]) - 1;
  }

  /** Adds a language behind a node. @returns the node behind the language */
  add(language: Language, from: number): number {
    switch (language.kind) {
      case "bytes":
        return this.#bytes(language.bytes, from);
      case "range":
        return this.#edge(from, language.low, language.high);
      case "sequence":
        return language.parts.reduce((at, part) => this.add(part, at), from);
      case "choice": {
        const end = this.node();
        for (const option of language.options) {
          const start = this.node();
          this.free[from].push(start);
          this.free[this.add(option, start)].push(end);
        }
        return end;
      }
      case "list":
        return this.#list(language, from);
      case "members":
        return this.#members(language, from);
      case "states": {
        const nodes = language.states.map(() => this.node());
        const end = this.node();
        language.states.forEach(({ edges, accepts }, i) => {
          for (const { low, high, to } of edges) {
            this.edges[nodes[i]].push({ low, high, to: nodes[to] });
          }
          if (accepts) this.free[nodes[i]].push(end);
        });
        this.free[from].push(nodes[0]);
        return end;
      }
    }
  }

  #edge(from: number, low: number, high: number): number {
    const to = this.node();
    this.edges[from].push({ low, high, to });
    return to;
  }

  #bytes(bytes: Uint8Array, from: number): number {
    return bytes.reduce((at, byte) => this.#edge(at, byte, byte), from);
  }

  #list(
    { item, separator, least, most }: Extract<Language, { kind: "list" }>,
    from: number,
  ): number {
    const end = this.node();
    if (least === 0) this.free[from].push(end);
    const copies = most === Infinity ? Math.max(1, least) : most;
    let start = this.node();
    this.free[from].push(start);
    for (let count = 1; count <= copies; count++) {
      const behind = this.node();
      this.free[this.add(item, start)].push(behind);
      if (count >= least) this.free[behind].push(end);
      if (count === copies) {
        if (most === Infinity) this.free[this.add(separator, behind)].push(start);
        break;
      }
      start = this.node();
      this.free[this.add(separator, behind)].push(start);
    }
    return end;
  }

  #members({ members }: Extract<Language, { kind: "members" }>, from: number): number {
    // Before each member: nothing was written yet, or something was. A value stands once for both.
    let [fresh, behind] = [from, this.node()];
    for (const { language, required } of members) {
      const value = this.node();
      const [nextFresh, nextBehind] = [this.node(), this.node()];
      this.free[fresh].push(value);
      this.free[this.#bytes(BETWEEN_MEMBERS, behind)].push(value);
      this.free[this.add(language, value)].push(nextBehind);
      if (!required) {
        this.free[fresh].push(nextFresh);
        this.free[behind].push(nextBehind);
      }
      [fresh, behind] = [nextFresh, nextBehind];
    }
    const end = this.node();
    this.free[fresh].push(end);
    this.free[behind].push(end);
    return end;
  }
}

/** A deterministic automaton over bytes, all of whose states can be reached and completed. */
export class Automaton {
  /** The state before the first byte. */
  readonly start = 0;
  readonly #next: readonly Int32Array[];
  /** Bytes from each state to the end of the shortest text. */
  readonly #distance: Int32Array;

  /**
   * Of a language, all at once.
   * @throws {SizeError} when it takes too many states, or longer than allowed
   */
  constructor(language: Language, allowance?: Allowance);
  /** Of states that are made. */
  constructor(states: States);
  constructor(of: Language | States, allowance: Allowance = new Allowance()) {
    const states = of instanceof States ? of : finish(States.of(of, allowance));
    this.#next = states.next;
    this.#distance = states.distance;
  }

  /**
   * Makes one in pieces.
   * @throws {SizeError} when it takes too many states, or longer than allowed
   */
  static *of(language: Language, allowance: Allowance): Work<Automaton> {
    return new Automaton(yield* States.of(language, allowance));
  }

  /** Number of states. */
  get size(): number {
    return this.#next.length;
  }

  /** The state behind a byte, or {@linkcode DEAD}. */
  next(state: number, byte: number): number {
    return this.#next[state][byte];
  }

  /** Whether the text may end here. */
  accepts(state: number): boolean {
    return this.#distance[state] === 0;
  }

  /** Bytes to the nearest state that accepts. */
  distance(state: number): number {
    return this.#distance[state];
  }

  /** The bytes that may follow, ascending. */
  bytesFrom(state: number): number[] {
    const bytes: number[] = [];
    this.#next[state].forEach((to, byte) => to === DEAD || bytes.push(byte));
    return bytes;
  }

  /** The bytes that must follow, up to the first state with a choice, and that state. */
  forced(state: number): { readonly bytes: Uint8Array<ArrayBuffer>; readonly state: number } {
    const bytes: number[] = [];
    while (!this.accepts(state)) {
      const [only, ...others] = this.bytesFrom(state);
      if (others.length > 0) break;
      bytes.push(only);
      state = this.next(state, only);
    }
    return { bytes: Uint8Array.from(bytes), state };
  }

  /** The bytes of a shortest text from a state. */
  shortest(state: number): Uint8Array<ArrayBuffer> {
    const bytes: number[] = [];
    while (!this.accepts(state)) {
      const row = this.#next[state];
      const byte = row.findIndex((to) =>
        to !== DEAD && this.#distance[to] === this.#distance[state] - 1
      );
      bytes.push(byte);
      state = row[byte];
    }
    return Uint8Array.from(bytes);
  }

  /** Whether a text is in the language. */
  matches(bytes: Uint8Array): boolean {
    let state = this.start;
    for (const byte of bytes) {
      state = this.next(state, byte);
      if (state === DEAD) return false;
    }
    return this.accepts(state);
  }
}

/** States as sets of a graph's nodes (subset construction), which nobody needs once they are made. */
class States {
  /** Per state, the state behind each byte. */
  readonly next: Int32Array[] = [];
  /** Bytes from each state to the end of the shortest text. */
  distance = new Int32Array();
  readonly #allowance: Allowance;
  readonly #graph = new Graph();
  readonly #accept: number;
  readonly #ids = new Map<string, number>();
  readonly #sets: number[][] = [];
  #nodes = 0;

  private constructor(language: Language, allowance: Allowance) {
    this.#allowance = allowance;
    const first = this.#graph.node();
    this.#accept = this.#graph.add(language, first);
    this.#state([first]);
  }

  static *of(language: Language, allowance: Allowance): Work<States> {
    const states = new States(language, allowance);
    for (let state = 0; state < states.#sets.length; state++) {
      states.next.push(yield* states.#row(state));
    }
    states.distance = yield* states.#distances();
    return states;
  }

  /** The state of some nodes and what free moves reach from them. */
  #state(nodes: readonly number[]): number {
    this.#allowance.check();
    const reached = new Set(nodes);
    for (const node of reached) for (const to of this.#graph.free[node]) reached.add(to);
    // Nodes that only pass on say nothing that the others do not.
    const kept = [...reached]
      .filter((node) => this.#graph.edges[node].length > 0 || node === this.#accept)
      .sort((a, b) => a - b);
    const key = kept.join();
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    if (this.#sets.length === MOST_STATES) {
      throw new SizeError(`it takes more than ${MOST_STATES} states: make it smaller`);
    }
    this.#nodes += kept.length;
    if (this.#nodes > MOST_NODES) {
      throw new SizeError("too much of it may stand at the same place: make it smaller");
    }
    this.#ids.set(key, this.#sets.push(kept) - 1);
    return this.#sets.length - 1;
  }

  *#row(state: number): Work<Int32Array> {
    const row = new Int32Array(256).fill(DEAD);
    const edges = this.#sets[state].flatMap((node) => this.#graph.edges[node]);
    const cuts = [...new Set(edges.flatMap(({ low, high }) => [low, high + 1]))]
      .sort((a, b) => a - b);
    for (const [i, low] of cuts.entries()) {
      const to = edges.filter((edge) => edge.low <= low && low <= edge.high).map((edge) => edge.to);
      if (to.length > 0) row.fill(this.#state(to), low, cuts[i + 1]);
      yield;
    }
    return row;
  }

  *#distances(): Work<Int32Array<ArrayBuffer>> {
    const before: number[][] = this.#sets.map(() => []);
    for (const [from, row] of this.next.entries()) {
      for (const to of new Set(row)) if (to !== DEAD) before[to].push(from);
      yield;
    }
    const distance = new Int32Array(this.#sets.length).fill(-1);
    let level = [...this.#sets.keys()].filter((state) => this.#sets[state].includes(this.#accept));
    for (let bytes = 0; level.length > 0; bytes++) {
      const next: number[] = [];
      for (const state of level) {
        if (distance[state] >= 0) continue;
        distance[state] = bytes;
        next.push(...before[state]);
      }
      yield;
      level = next;
    }
    return distance;
  }
}
