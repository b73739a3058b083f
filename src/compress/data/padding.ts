/** Fits samples into a sequence: cuts long ones, and pads answers with the end token. */

import { draw, drawBelow, PURPOSE } from "./draw.ts";
import type { Sample } from "./sample.ts";

/** How answers are padded and long samples treated. */
export interface PaddingOptions {
  /** Most tokens of a sequence, padding included. */
  readonly sequence: number;
  /**
   * What happens to longer samples: an error, or they are cut. A text loses both its ends, an answer
   * its end, and a prompt that leaves no room its beginning.
   */
  readonly long: "cut" | "refuse";
  /** Share of the samples whose answer is padded to one of the lengths `to`; default 1. */
  readonly toShare?: number;
  /** Lengths of a padded answer in tokens, one of which is drawn; default `[64]`. */
  readonly to?: readonly number[];
  /** Fewest and most end tokens behind the other answers; default `[1, 6]`. */
  readonly by?: readonly [fewest: number, most: number];
}

/** A sample as long as it will be in a sequence. */
export interface PaddedSample extends Sample {
  /** Where the padding begins: the answer is `[promptLength, answerEnd)`. */
  readonly answerEnd: number;
  /** Whether the answer was padded to a length, so that it looks like a canvas. */
  readonly isCanvas: boolean;
}

/** Says which of the draws a sample gets: the run's seed and the number of the sample in the run. */
export interface SampleKey {
  readonly seed: number;
  readonly number: number;
}

/**
 * Pads the answer of a conversation, and cuts what is too long. An answer that is longer than every
 * length of `to` is padded as the others are; padding never makes a sequence too long.
 * @throws {Error} naming file and line when a sample is too long and not to be cut
 */
export function padSample(
  sample: Sample,
  { sequence, long, toShare = 1, to = [64], by = [1, 6] }: PaddingOptions,
  eosTokenId: number,
  { seed, number }: SampleKey,
): PaddedSample {
  const { ids, promptLength, kind, where } = sample;
  if (ids.length > sequence) {
    if (long === "refuse") {
      throw new Error(
        `${where}: the sample has ${ids.length} tokens, expected at most ${sequence}. Give a longer ` +
          "--sequence, or leave the sample out.",
      );
    }
    const from = kind === "text"
      ? drawBelow(ids.length - sequence + 1, seed, PURPOSE.window, number)
      : lostOfPrompt(sample, sequence);
    const cut = ids.slice(from, from + sequence);
    const left = Math.max(0, promptLength - from);
    return { ...sample, ids: cut, promptLength: left, answerEnd: cut.length, isCanvas: false };
  }
  if (kind === "text") return { ...sample, answerEnd: ids.length, isCanvas: false };
  const answerLength = ids.length - promptLength;
  const isCanvas = draw(seed, PURPOSE.padding, number) < toShare;
  const canvas = isCanvas ? to[drawBelow(to.length, seed, PURPOSE.paddedTo, number)] : 0;
  const fits = [canvas, ...to.toSorted((a, b) => a - b)].find((length) => length >= answerLength);
  const [fewest, most] = by;
  const padded = isCanvas && fits !== undefined
    ? promptLength + fits
    : ids.length + fewest + drawBelow(most - fewest + 1, seed, PURPOSE.paddedTo, number, 1);
  const longer = new Uint32Array(Math.min(sequence, padded)).fill(eosTokenId);
  longer.set(ids);
  return {
    ...sample,
    ids: longer,
    answerEnd: ids.length,
    isCanvas: isCanvas && fits !== undefined,
  };
}

/** Tokens that a prompt loses at its beginning: of the answer, at least what fills half a sequence stays. */
function lostOfPrompt({ ids, promptLength }: Sample, sequence: number): number {
  if (promptLength < sequence) return 0;
  const answer = Math.min(ids.length - promptLength, Math.ceil(sequence / 2));
  return promptLength + answer - sequence;
}
