/** Host side of shaders/lib/place.wgsl: sequences of a pass that may commit. */

import { NO_TOKEN, writeTokens } from "./step_plan.ts";

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

/** One sequence's place in one pass. */
export interface Place {
  /** Its first row in the ids. */
  readonly firstRow: number;
  /** What a row of the ids is above its row in the hidden states; may be negative. */
  readonly hiddenShift: number;
  /** Likewise above its unconditional twin's row in the hidden states. */
  readonly twinShift: number;
  /** Rows of the ids from a row to its twin's. */
  readonly twinRows: number;
  /** First of its entries in what is asked, and their number: the most candidates that it may have. */
  readonly askedFirst: number;
  readonly capacity: number;
  /** Its first entry in the log: a header, and as many commits as it can make. */
  readonly logFirst: number;
  /** Its entry in `finished`. */
  readonly sequence: number;
  readonly ranking: keyof typeof RANKINGS;
  /** Default `count`. */
  readonly rule?: CommitRule;
  readonly stopAtEnd: boolean;
  /** Rows of the generation in the ids, and the tokens that end it. */
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
    place.firstRow,
    place.hiddenShift,
    place.twinShift,
    place.twinRows,
    place.askedFirst,
    place.capacity,
    place.logFirst,
    place.sequence,
    RANKINGS[place.ranking],
    RULES[rule.kind],
    0,
    place.stopAtEnd ? 1 : 0,
    answer.firstRow,
    answer.endRow,
    NO_TOKEN,
    NO_TOKEN,
  ], at);
  new Float32Array(words.buffer, words.byteOffset)[at + 10] = valueOf(rule);
  writeTokens(words, at + 16, answer.endTokens, "endTokens");
}
