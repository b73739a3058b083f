/**
 * Measures how often a draft chooses the target's token at masked positions of known answers. Both
 * see the same states: the prompt, and the answer with a share of it masked at random.
 */

import { hash, uniform } from "../denoise/noise.ts";
import { GREEDY, type Prediction, type Predictor } from "../denoise/predictor.ts";

/** Shares of the response that are masked in the compared states. */
export const DRAFT_RATIOS = [0.3, 0.5, 0.7] as const;

/** Confidence above which the draft counts as confident. */
export const CONFIDENT = 0.9;

/** Positions of a response that is padded, of the published figures of drafts. */
export const RESPONSE_LENGTH = 64;

/** Bins of equal width by the draft's confidence; 1 is in the last. */
const BINS = 10;

/** States of one forward pass. More of them do not make a pass of small models cheaper. */
const STATES_AT_ONCE = 16;

/** An example as token ids. */
export interface AnsweredPrompt {
  /** The prompt as the model sees it, with the header of the answer. */
  readonly prompt: Uint32Array;
  /** The answer with the token that ends it, and without padding. */
  readonly answer: Uint32Array;
}

/** How answers are masked. */
export interface MaskingOptions {
  readonly maskTokenId: number;
  /** The token that fills a response behind its answer. */
  readonly paddingTokenId: number;
  /** Positions of a response with its padding; a longer answer has none (default: 64). */
  readonly responseLength?: number;
  /** Seed of the masks, an integer in [0, 2^53) (default: 0). */
  readonly seed?: number;
}

/** A state of an example in which both models are asked. */
export interface MaskedAnswer {
  readonly maskRatio: number;
  /** Prompt, answer and padding, with masks, `[length]`. */
  readonly ids: Uint32Array;
  /** Masked positions of the answer, ascending; masked padding is not among them. */
  readonly positions: Uint32Array;
}

/** What is compared of a model's answer at one position. */
export type Chosen = Pick<Prediction, "token" | "confidence">;

/** Positions where the draft's confidence lies in one bin. */
export interface ConfidenceBin {
  readonly positions: number;
  /** Positions where the target chooses the same token. */
  readonly sameToken: number;
  /** Sum of the draft's confidences. */
  readonly confidence: number;
}

/** Counts over the states of one mask ratio. */
export interface DraftAgreement {
  readonly maskRatio: number;
  readonly states: number;
  /** Masked answer tokens, all of which are compared. */
  readonly positions: number;
  /** Positions where both models choose the same token. */
  readonly sameToken: number;
  /** Positions where the draft's confidence is above {@linkcode CONFIDENT}. */
  readonly confident: number;
  /** Those of them where the target chooses the same token. */
  readonly sameConfident: number;
  /** Counts by the draft's confidence, in ten bins of equal width. */
  readonly bins: readonly ConfidenceBin[];
}

/**
 * Masks each position of a response with probability `ratio`. The masks are a function of seed, ratio
 * and the example's ids, so an example has the same ones wherever it stands.
 * @param ratio in [0, 1]
 */
export function maskAnswer(
  { prompt, answer }: AnsweredPrompt,
  ratio: number,
  { maskTokenId, paddingTokenId, responseLength = RESPONSE_LENGTH, seed = 0 }: MaskingOptions,
): MaskedAnswer {
  const ids = new Uint32Array(prompt.length + Math.max(responseLength, answer.length));
  ids.fill(paddingTokenId);
  ids.set(prompt);
  ids.set(answer, prompt.length);
  const key = keyOf(prompt, answer);
  const slot = Math.round(ratio * 2 ** 16);
  const positions: number[] = [];
  for (let i = prompt.length; i < ids.length; i++) {
    if (uniform(hash(seed, key, i - prompt.length, slot)) >= ratio) continue;
    ids[i] = maskTokenId;
    if (i < prompt.length + answer.length) positions.push(i);
  }
  return { maskRatio: ratio, ids, positions: Uint32Array.from(positions) };
}

/** A number of 32 bits by which examples are told apart. */
function keyOf(...texts: readonly Uint32Array[]): number {
  let key = 0;
  for (const ids of texts) ids.forEach((id, i) => key = hash(key, ids.length, i, id));
  return key;
}

/**
 * Asks a model at every masked answer position of some states.
 * @param progress told the number of states that are done
 * @returns for each state, what it chooses at each of `positions`
 */
export async function choicesAt(
  model: Predictor,
  states: readonly MaskedAnswer[],
  progress?: (done: number) => void,
): Promise<Chosen[][]> {
  const chosen: Chosen[][] = [];
  for (let first = 0; first < states.length; first += STATES_AT_ONCE) {
    const some = states.slice(first, first + STATES_AT_ONCE);
    // A pass over no position would be for nothing, and models may refuse it.
    const asked = some.filter(({ positions }) => positions.length > 0);
    const answers = asked.length === 0 ? [] : await model.predict(
      asked.map(({ ids, positions }) => ({ ids, positions, choice: GREEDY })),
    );
    chosen.push(...some.map((state) => answers[asked.indexOf(state)] ?? []));
    progress?.(chosen.length);
  }
  return chosen;
}

/**
 * Counts agreement over states of one mask ratio.
 * @param target for each state, the target's choice at each of its positions
 * @param draft likewise the draft's
 * @throws {RangeError} when a confidence of the draft is no number
 */
export function countAgreement(
  maskRatio: number,
  target: readonly (readonly Chosen[])[],
  draft: readonly (readonly Chosen[])[],
): DraftAgreement {
  const bins = Array.from({ length: BINS }, () => ({ positions: 0, sameToken: 0, confidence: 0 }));
  let confident = 0;
  let sameConfident = 0;
  for (const [i, choices] of draft.entries()) {
    for (const [j, { token, confidence }] of choices.entries()) {
      if (Number.isNaN(confidence)) {
        throw new RangeError(
          `the draft's confidence in a token is ${confidence}, expected 0 to 1: its logits are no numbers`,
        );
      }
      const same = token === target[i][j].token ? 1 : 0;
      // A softmax in f32 may exceed 1 by rounding.
      const bin = bins[Math.min(BINS - 1, Math.floor(BINS * confidence))];
      bin.positions++;
      bin.sameToken += same;
      bin.confidence += confidence;
      if (confidence <= CONFIDENT) continue;
      confident++;
      sameConfident += same;
    }
  }
  const sum = (key: "positions" | "sameToken") => bins.reduce((all, bin) => all + bin[key], 0);
  return {
    maskRatio,
    states: draft.length,
    positions: sum("positions"),
    sameToken: sum("sameToken"),
    confident,
    sameConfident,
    bins,
  };
}

/** Adds counts of one mask ratio; those of several ratios have the ratio NaN. */
export function addAgreements(agreements: readonly DraftAgreement[]): DraftAgreement {
  return agreements.reduce((a, b) => ({
    maskRatio: a.maskRatio === b.maskRatio ? a.maskRatio : NaN,
    states: a.states + b.states,
    positions: a.positions + b.positions,
    sameToken: a.sameToken + b.sameToken,
    confident: a.confident + b.confident,
    sameConfident: a.sameConfident + b.sameConfident,
    bins: a.bins.map((bin, i) => ({
      positions: bin.positions + b.bins[i].positions,
      sameToken: bin.sameToken + b.bins[i].sameToken,
      confidence: bin.confidence + b.bins[i].confidence,
    })),
  }));
}

/** Figures of a draft as its card gives them: shares of each ratio, and means over the ratios. */
export interface DraftFigures {
  /** Mean of `byRatio`. */
  readonly agreement: number;
  /** Share of positions with the same token, for each mask ratio. */
  readonly byRatio: readonly { readonly maskRatio: number; readonly agreement: number }[];
  /** Share with the same token where the draft is confident; mean over the ratios. */
  readonly confidentCorrect: number;
  /** Share of positions where the draft is confident; mean over the ratios. */
  readonly confidentShare: number;
  /** Expected calibration error over all positions. */
  readonly calibrationError: number;
}

/**
 * Figures from the counts of each ratio. A share of no positions is NaN, and a mean leaves it out.
 */
export function draftFigures(agreements: readonly DraftAgreement[]): DraftFigures {
  const byRatio = agreements.map(({ maskRatio, sameToken, positions }) => ({
    maskRatio,
    agreement: sameToken / positions,
  }));
  return {
    agreement: mean(byRatio.map(({ agreement }) => agreement)),
    byRatio,
    confidentCorrect: mean(
      agreements.map(({ sameConfident, confident }) => sameConfident / confident),
    ),
    confidentShare: mean(agreements.map(({ confident, positions }) => confident / positions)),
    calibrationError: calibrationError(addAgreements(agreements).bins),
  };
}

/**
 * Expected calibration error: the mean over all positions of `|share with the target's token - mean
 * confidence|` of the position's bin (Guo et al. 2017, arXiv 1706.04599).
 */
export function calibrationError(bins: readonly ConfidenceBin[]): number {
  const positions = bins.reduce((sum, bin) => sum + bin.positions, 0);
  const errors = bins.map(({ sameToken, confidence }) => Math.abs(sameToken - confidence));
  return errors.reduce((sum, error) => sum + error, 0) / positions;
}

function mean(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}
