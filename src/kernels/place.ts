/** Host side of shaders/lib/place.wgsl: a sequence's place in one denoising step. */

import { writeTokens } from "./step_plan.ts";

/** Words of 4 bytes in a `Place`. */
export const PLACE_WORDS = 20;

/** The shader's numbers of the rankings. */
export const RANKINGS = { low_confidence: 0, random: 1 } as const;

/** The shader's numbers of the selection rules. */
export const RULES = { count: 0, threshold: 1, factor: 2 } as const;

/** One of {@linkcode RULES} and its value; see commit.wgsl. */
export type CommitRule =
  | { readonly kind: "count" }
  | { readonly kind: "threshold"; readonly threshold: number }
  | { readonly kind: "factor"; readonly factor: number };

function valueOf(rule: CommitRule): number {
  switch (rule.kind) {
    case "count":
      return 0;
    case "threshold":
      return 1 / rule.threshold - 1;
    case "factor":
      return rule.factor;
  }
}

/**
 * Where a sequence's rows lie in one denoising step, and how its commits are chosen. Sequences of a call
 * may differ in all of it.
 */
export interface Place {
  /** Its number in `finished`, which steps of a submit share. */
  readonly sequence: number;
  /** Its first row in ids and positions; a step plan's candidates are counted from here. */
  readonly firstRow: number;
  /** A row less this is its row of the hidden states. */
  readonly hiddenShift: number;
  /** Guided: a row less this is its unconditional twin's row of the hidden states. */
  readonly twinShift: number;
  /** Guided: a row and this is its unconditional twin in ids. */
  readonly twinRows: number;
  /** The first of its `capacity` rows of `asked`, which no other sequence of the call may have. */
  readonly askedFirst: number;
  readonly capacity: number;
  /** Entry of the log with its header; `1 + min(commits, capacity)` entries are its own. */
  readonly logFirst: number;
  readonly ranking: keyof typeof RANKINGS;
  /** Selection rule; default `count`. */
  readonly rule?: CommitRule;
  /** Whether it is finished once no mask is left before the first end token of its answer. */
  readonly stopAtEnd: boolean;
  /** Rows of the generation in ids, and at most 4 tokens that end it. */
  readonly answer: {
    readonly firstRow: number;
    readonly endRow: number;
    readonly endTokens: readonly number[];
  };
}

/** Writes a place at word `at`. @throws {RangeError} when there are more than 4 end tokens */
export function writePlace(words: Uint32Array<ArrayBuffer>, at: number, place: Place): void {
  const { rule = { kind: "count" }, answer } = place;
  words.set([
    place.sequence,
    place.firstRow,
    place.hiddenShift,
    place.twinShift,
    place.twinRows,
    place.askedFirst,
    place.capacity,
    place.logFirst,
    RANKINGS[place.ranking],
    RULES[rule.kind],
    0,
    place.stopAtEnd ? 1 : 0,
    answer.firstRow,
    answer.endRow,
  ], at);
  new Float32Array(words.buffer, words.byteOffset)[at + 10] = valueOf(rule);
  writeTokens(words, at + 16, answer.endTokens, "endTokens");
}

/** A call for several sequences: places and plans are read from their offsets on, one a sequence. */
export interface PlacedCall {
  readonly count: number;
  readonly placeOffset: number;
  readonly planOffset: number;
  readonly maskToken: number;
  /** Whether every sequence has an unconditional twin; else none has. */
  readonly guided: boolean;
}

/** Parameters of the kernels that take places. */
export function placedParams({ placeOffset, planOffset, maskToken }: PlacedCall) {
  return { place_offset: placeOffset, plan_offset: planOffset, mask_token: maskToken };
}
