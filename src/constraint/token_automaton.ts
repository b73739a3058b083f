/**
 * A language over tokens: the automaton of its bytes, read a token at a time. Behind a complete text
 * stand end tokens, as many as there is room for.
 */

import { type Automaton, DEAD } from "./automaton.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { Allowance } from "./allowance.ts";
import { finish, Turns, type Work } from "./work.ts";

/** The state behind an end token; the states of the automaton follow. */
export const DONE = 0;
const FIRST = 1;

/** Thrown for a language that the vocabulary cannot write. */
export class UnwritableError extends Error {
  override readonly name = "UnwritableError";
}

/** Steps of a language by whole tokens. */
export class TokenAutomaton {
  /** The state before the first token. */
  readonly start: number;
  readonly #ends: ReadonlySet<number>;
  readonly #successors = new Map<number, Int32Array>();
  #distance: (state: number) => number;

  /**
   * All at once; {@linkcode of} makes one in pieces.
   * @param ends tokens that end an answer
   * @throws {UnwritableError} when no text of the language can be made of these tokens
   */
  constructor(
    readonly automaton: Automaton,
    readonly vocabulary: Vocabulary,
    ends: readonly number[],
    isReady = true,
  ) {
    this.#ends = new Set(ends);
    this.start = automaton.start + FIRST;
    // A byte is at most a token, so bytes are an upper bound, and one that can be kept to.
    this.#distance = (state) => automaton.distance(state - FIRST);
    if (isReady) finish(this.#prepare());
  }

  /**
   * Makes one in pieces.
   * @throws {UnwritableError} when no text of the language can be made of these tokens
   */
  static *of(
    automaton: Automaton,
    vocabulary: Vocabulary,
    ends: readonly number[],
  ): Work<TokenAutomaton> {
    const made = new TokenAutomaton(automaton, vocabulary, ends, false);
    yield* made.#prepare();
    return made;
  }

  *#prepare(): Work<void> {
    if (!this.vocabulary.spellsAll) yield* this.#countTokens();
    if (this.#distance(this.start) < Infinity) return;
    throw new UnwritableError("the model's tokens cannot write any text of it");
  }

  /** The state behind a token, or {@linkcode DEAD}. */
  step(state: number, token: number): number {
    if (this.#ends.has(token)) return state === DONE || this.accepts(state) ? DONE : DEAD;
    if (state === DONE) return DEAD;
    const bytes = this.vocabulary.bytesOf(token);
    if (bytes.length === 0) return DEAD;
    let at = state - FIRST;
    for (const byte of bytes) {
      at = this.automaton.next(at, byte);
      if (at === DEAD) return DEAD;
    }
    return at + FIRST;
  }

  /** Whether the text may end in this state. */
  accepts(state: number): boolean {
    return state === DONE || this.automaton.accepts(state - FIRST);
  }

  /** Whether the text must end in this state. */
  isComplete(state: number): boolean {
    if (state === DONE) return true;
    return this.accepts(state) && this.automaton.bytesFrom(state - FIRST).length === 0;
  }

  /**
   * Counts the distances in tokens from now on, which takes a look at every state. Otherwise they are
   * in bytes, if each byte is a token: never less, and a way that long can be kept to.
   * @throws the signal's reason when it is aborted before
   */
  async countTokens(signal?: AbortSignal): Promise<void> {
    await this.explore(this.start, Infinity, signal);
    await new Allowance(Infinity).run(this.#countTokens(), signal);
  }

  /** Tokens within which the text can be completed from a state. */
  distance(state: number): number {
    return state === DONE ? 0 : this.#distance(state);
  }

  /** Tokens of a short text from a state, no more than {@linkcode distance} counts. */
  shortest(state: number): number[] {
    const tokens: number[] = [];
    while (this.distance(state) > 0) {
      let [chosen, behind, least] = [DEAD, state, this.distance(state)];
      this.visit(state, (token, to) => {
        if (this.distance(to) < least) [chosen, behind, least] = [token, to, this.distance(to)];
      });
      tokens.push(chosen);
      state = behind;
    }
    return tokens;
  }

  /** The bytes that must follow a state. */
  forced(state: number): Uint8Array<ArrayBuffer> {
    return state === DONE ? new Uint8Array() : this.automaton.forced(state - FIRST).bytes;
  }

  /** States behind one token, each once; {@linkcode DONE} among them where the text may end. */
  successors(state: number): Int32Array {
    const known = this.#successors.get(state);
    if (known) return known;
    const found = new Set<number>();
    if (this.accepts(state)) found.add(DONE);
    this.visit(state, (_, to) => void found.add(to));
    const made = Int32Array.from(found);
    this.#successors.set(state, made);
    return made;
  }

  /** Visits the tokens of text that may follow a state, until `visit` returns true. */
  visit(state: number, visit: (token: number, state: number) => boolean | void): void {
    if (state === DONE) return;
    this.vocabulary.walk(
      state - FIRST,
      (from, byte) => this.automaton.next(from, byte),
      (token, to) => visit(token, to + FIRST),
    );
  }

  /** End tokens. */
  get ends(): Iterable<number> {
    return this.#ends;
  }

  /**
   * Finds successors ahead, for so many tokens, in slices.
   * @throws the signal's reason when it is aborted before
   */
  async explore(from: number, tokens: number, signal?: AbortSignal): Promise<void> {
    const seen = new Set([from]);
    let level = [from];
    const turns = new Turns();
    for (let i = 0; i < tokens && level.length > 0; i++) {
      signal?.throwIfAborted();
      const next: number[] = [];
      for (const state of level) {
        for (const to of this.successors(state)) {
          if (seen.has(to)) continue;
          seen.add(to);
          next.push(to);
        }
        if (turns.isOver) await turns.give(signal);
      }
      level = next;
    }
  }

  /**
   * How many tokens, of `tokens` at most and at least one, are in sight at once: those whose states
   * take at most `most` looks to follow.
   */
  sight(from: number, tokens: number, most: number): number {
    let level = new Set([from]);
    let looks = 0;
    for (let seen = 0; seen < tokens; seen++) {
      const next = new Set<number>();
      for (const state of level) {
        const behind = this.successors(state);
        looks += behind.length;
        if (looks > most) return Math.max(1, seen);
        for (const to of behind) next.add(to);
      }
      level = next;
    }
    return tokens;
  }

  /** Counts tokens from each state to the nearest that accepts. */
  *#countTokens(): Work<void> {
    const before = new Map<number, number[]>();
    const all = [this.start];
    const seen = new Set(all);
    for (const state of all) {
      for (const to of this.successors(state)) {
        const known = before.get(to);
        if (known) known.push(state);
        else before.set(to, [state]);
        if (seen.has(to)) continue;
        seen.add(to);
        all.push(to);
      }
      yield;
    }
    const distance = new Map<number, number>();
    let level = all.filter((state) => this.accepts(state));
    for (let tokens = 0; level.length > 0; tokens++) {
      for (const state of level) distance.set(state, tokens);
      // Each once: many ways lead to a state, and a way more at each level doubles them.
      const next = new Set<number>();
      for (const state of level) {
        for (const from of before.get(state) ?? []) if (!distance.has(from)) next.add(from);
      }
      level = [...next];
      yield;
    }
    this.#distance = (state) => distance.get(state) ?? Infinity;
  }
}
