/** Random choices for one sample of the corpus, a pure function of the seed and the sample's number. */

import { draw, PURPOSE } from "../data/draw.ts";

/** Draws one number after another. */
export class Dice {
  readonly #seed: number;
  readonly #index: number;
  #drawn = 0;

  /**
   * @param seed integer in [0, 2^53)
   * @param index number of the sample
   */
  constructor(seed: number, index: number) {
    this.#seed = seed;
    this.#index = index;
  }

  /** A uniform number in (0, 1). */
  uniform(): number {
    return draw(this.#seed, PURPOSE.corpus, this.#index, this.#drawn++);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low + 1));
  }

  /** One of a list. */
  pick<T>(list: readonly T[]): T {
    return list[this.between(0, list.length - 1)];
  }

  /** Different members of a list, in a random order. */
  some<T>(list: readonly T[], count: number): T[] {
    const left = [...list];
    return Array.from({ length: count }, () => left.splice(this.between(0, left.length - 1), 1)[0]);
  }

  /** One of a list, each with its weight. */
  weighted<T extends { readonly weight: number }>(list: readonly T[]): T {
    let rest = this.uniform() * list.reduce((sum, { weight }) => sum + weight, 0);
    return list.find(({ weight }) => (rest -= weight) < 0) ?? list[list.length - 1];
  }
}
