/** In which order samples are drawn from files: every sample once an epoch, files by their shares. */

import { permuted, PURPOSE } from "./draw.ts";

/** Samples after which the shares of the files hold to the sample. */
const CYCLE = 1000;

/** Where a sample lies. */
export interface SamplePlace {
  readonly file: number;
  readonly index: number;
}

/** The order of a run. Nothing is remembered: the place of any sample is computed from its number. */
export class SampleOrder {
  /** Samples in all files. */
  readonly count: number;
  readonly #seed: number;
  readonly #counts: readonly number[];
  /** Samples of each file in {@linkcode CYCLE} of them; undefined without shares. */
  readonly #quotas?: readonly number[];

  /**
   * @param files their samples and, for all or none, their shares
   * @throws {RangeError} when a share is below half of one in {@linkcode CYCLE}
   */
  constructor(
    files: readonly { readonly count: number; readonly share?: number }[],
    seed: number,
  ) {
    this.#seed = seed;
    this.#counts = files.map(({ count }) => count);
    this.count = this.#counts.reduce((sum, count) => sum + count, 0);
    if (files.some(({ share }) => share !== undefined)) {
      this.#quotas = quotasOf(files.map(({ share }) => share ?? 0));
    }
  }

  /**
   * Where the sample with this number in the run lies. Without shares all files are one, and each
   * run of `count` numbers is a permutation of it; with shares each file is permuted by itself.
   */
  at(number: number): SamplePlace {
    if (!this.#quotas) return this.#inAll(this.#drawn(number, this.count, 0));
    const cycle = Math.floor(number / CYCLE);
    const key = { seed: this.#seed, purpose: PURPOSE.file, round: cycle };
    const { file, index } = placeIn(this.#quotas, permuted(number % CYCLE, CYCLE, key));
    const nth = cycle * this.#quotas[file] + index;
    return { file, index: this.#drawn(nth, this.#counts[file], file + 1) };
  }

  #inAll(index: number): SamplePlace {
    return placeIn(this.#counts, index);
  }

  #drawn(nth: number, count: number, list: number): number {
    const epoch = Math.floor(nth / count);
    const key = {
      seed: this.#seed,
      purpose: PURPOSE.order,
      // Files of one length have orders of their own.
      round: (epoch + Math.imul(list, 0x9e3779b1)) >>> 0,
    };
    return permuted(nth % count, count, key);
  }
}

/** Which of several lists laid end to end an index falls into, and where in it. */
function placeIn(counts: readonly number[], index: number): SamplePlace {
  let rest = index;
  let file = 0;
  while (rest >= counts[file]) rest -= counts[file++];
  return { file, index: rest };
}

/** Whole numbers in proportion to shares that add up to {@linkcode CYCLE}: largest remainders. */
function quotasOf(shares: readonly number[]): number[] {
  const sum = shares.reduce((sum, share) => sum + share, 0);
  const exact = shares.map((share) => share / sum * CYCLE);
  const quotas = exact.map(Math.floor);
  const left = CYCLE - quotas.reduce((sum, quota) => sum + quota, 0);
  const byRemainder = exact.map((value, file) => ({ file, rest: value - quotas[file] }))
    .sort((a, b) => b.rest - a.rest || a.file - b.file);
  for (const { file } of byRemainder.slice(0, left)) quotas[file]++;
  const none = quotas.indexOf(0);
  if (none >= 0) {
    throw new RangeError(`a share is ${shares[none] / sum}, expected at least ${1 / CYCLE}`);
  }
  return quotas;
}
