/**
 * Which tokens may stand at the masked positions of a block, so that the text can still be completed
 * in what room there is. Every mask is exactly one token.
 *
 * All is exact: with the positions before the block decided, the states before and behind each
 * position are known sets. As long as they are not empty, each mask has at least one token that keeps
 * them so, and therefore whatever is committed in whatever order ends in a valid text.
 */

import { DEAD } from "./automaton.ts";
import { DONE, type TokenAutomaton } from "./token_automaton.ts";

/** A mask. */
const OPEN = -1;

/** The positions of a block, counted from its start. */
export class Window {
  readonly #automaton: TokenAutomaton;
  readonly #start: number;
  readonly #tail: number;
  readonly #tokens: Int32Array;
  /** States before each position, and behind the last: those on a way from start to end. */
  #alive: readonly ReadonlySet<number>[] = [];

  /**
   * A block of masks.
   * @param start the state behind everything that is decided before it
   * @param length positions of the block
   * @param tail positions that may follow the block
   * @throws {RangeError} when the text cannot be completed within `length + tail` tokens
   */
  constructor(automaton: TokenAutomaton, start: number, length: number, tail: number) {
    this.#automaton = automaton;
    this.#start = start;
    this.#tail = tail;
    this.#tokens = new Int32Array(length).fill(OPEN);
    this.#update();
    if (this.#alive[0].size === 0) {
      throw new RangeError(`${length + tail} tokens are too few to complete the text`);
    }
  }

  /** Masked positions. */
  get masked(): number[] {
    return [...this.#tokens.keys()].filter((i) => this.#tokens[i] === OPEN);
  }

  /** States that a position may stand behind; those behind the last are at the block's length. */
  statesAt(position: number): ReadonlySet<number> {
    return this.#alive[position];
  }

  /** Whether every way leads through an end token before this position. */
  isBehindEnd(position: number): boolean {
    const states = this.#alive[position];
    return states.size === 1 && states.has(DONE);
  }

  /** Whether a token at a masked position leaves the text completable. */
  allows(position: number, token: number): boolean {
    const behind = this.#alive[position + 1];
    for (const state of this.#alive[position]) {
      const to = this.#automaton.step(state, token);
      if (to !== DEAD && behind.has(to)) return true;
    }
    return false;
  }

  /** Every token that {@linkcode allows} a position, ascending; at most `most` of them. */
  allowed(position: number, most = Infinity): number[] {
    const behind = this.#alive[position + 1];
    const found = new Set<number>();
    const { ends, vocabulary } = this.#automaton;
    for (const state of this.#alive[position]) {
      if (behind.has(DONE) && this.#automaton.accepts(state)) {
        for (const end of ends) found.add(end);
      }
      if (found.size >= most) break;
      this.#automaton.visit(state, (token, to) => {
        if (!behind.has(to)) return;
        found.add(token);
        for (const twin of vocabulary.twinsOf(token)) found.add(twin);
        return found.size >= most;
      });
      if (found.size >= most) break;
    }
    return [...found].sort((a, b) => a - b);
  }

  /** Decides a masked position. @throws {RangeError} for a token that is not allowed there */
  commit(position: number, token: number): void {
    if (this.#tokens[position] !== OPEN || !this.allows(position, token)) {
      throw new RangeError(`token ${token} is not allowed at position ${position} of the block`);
    }
    this.#tokens[position] = token;
    this.#update();
  }

  /**
   * Tokens for all masks that lead on to the shortest text, as far as the decided ones let it: those
   * of the block, and those behind it.
   */
  completion(): { readonly tokens: readonly number[]; readonly tail: readonly number[] } {
    const last = this.#tokens.length;
    const costs = this.#alive.map(() => new Map<number, number>());
    for (const state of this.#alive[last]) costs[last].set(state, this.#automaton.distance(state));
    const ways = (state: number, i: number) =>
      this.#tokens[i] === OPEN
        ? this.#automaton.successors(state)
        : [this.#automaton.step(state, this.#tokens[i])];
    // A token counts, unless it only stands behind the end.
    const cost = (to: number, i: number) =>
      (costs[i + 1].get(to) ?? Infinity) + (to === DONE ? 0 : 1);
    for (let i = last - 1; i >= 0; i--) {
      for (const state of this.#alive[i]) {
        let least = Infinity;
        for (const to of ways(state, i)) least = Math.min(least, cost(to, i));
        costs[i].set(state, least);
      }
    }
    let state = this.#start;
    const tokens = [...this.#tokens].map((token, i) => {
      if (token === OPEN) token = this.#tokenTo(state, i, (to) => cost(to, i));
      state = this.#automaton.step(state, token);
      return token;
    });
    return { tokens, tail: this.#automaton.shortest(state) };
  }

  /** A token behind which the cost is least. */
  #tokenTo(state: number, position: number, cost: (to: number) => number): number {
    const [end] = this.#automaton.ends;
    const mayEnd = this.#alive[position + 1].has(DONE) &&
      (state === DONE || this.#automaton.accepts(state));
    let [chosen, least] = [end, mayEnd ? cost(DONE) : Infinity];
    this.#automaton.visit(state, (token, to) => {
      if (cost(to) < least) [chosen, least] = [token, cost(to)];
    });
    return chosen;
  }

  #update(): void {
    const reached: Set<number>[] = [new Set([this.#start])];
    for (const token of this.#tokens) {
      const behind = new Set<number>();
      for (const state of reached.at(-1)!) {
        if (token === OPEN) {
          for (const to of this.#automaton.successors(state)) behind.add(to);
        } else {
          const to = this.#automaton.step(state, token);
          if (to !== DEAD) behind.add(to);
        }
      }
      reached.push(behind);
    }
    const last = reached.at(-1)!;
    const fitting = [...last].filter((state) => this.#automaton.distance(state) <= this.#tail);
    const alive = new Array<Set<number>>(reached.length);
    alive[reached.length - 1] = new Set(fitting);
    for (let i = reached.length - 2; i >= 0; i--) {
      const behind = alive[i + 1];
      const token = this.#tokens[i];
      const leadsOn = (state: number) =>
        token === OPEN
          ? this.#automaton.successors(state).some((to) => behind.has(to))
          : behind.has(this.#automaton.step(state, token));
      alive[i] = new Set([...reached[i]].filter(leadsOn));
    }
    this.#alive = alive;
  }
}
