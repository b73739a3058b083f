/** How sure a row of logits is: of one token, and as a whole by each measure of confidence. */

import type { ConfidenceMeasure, Prediction } from "./predictor.ts";

/** How sure `confidenceOf` found a token. */
export type Confidence = Pick<
  Prediction,
  "oddsAgainst" | "confidence" | "logProbability" | "logSumExp"
>;

/** The softmax over the tokens that are not hidden, its largest term kept apart. */
interface Softmax {
  /** Index of the largest logit, the first of several; -1 if every token is hidden. */
  readonly peak: number;
  /** That logit. */
  readonly max: number;
  /** `sum of exp(l - max)` over all tokens but the peak. */
  readonly others: number;
}

function softmaxOf(logits: ArrayLike<number>, hidden: ReadonlySet<number>): Softmax {
  let peak = -1;
  for (let i = 0; i < logits.length; i++) {
    if (!hidden.has(i) && (peak < 0 || logits[i] > logits[peak])) peak = i;
  }
  if (peak < 0) return { peak, max: -Infinity, others: 0 };
  const max = logits[peak];
  let others = 0;
  for (let i = 0; i < logits.length; i++) {
    if (i !== peak && !hidden.has(i)) others += Math.exp(logits[i] - max);
  }
  return { peak, max, others };
}

/**
 * How sure `token` is within the softmax over the tokens that are not hidden. A hidden token has
 * confidence 0.
 * @param logits `[vocabulary]`
 */
export function confidenceOf(
  logits: ArrayLike<number>,
  token: number,
  hidden: ReadonlySet<number>,
): Confidence {
  const { peak, max, others } = softmaxOf(logits, hidden);
  const logSumExp = peak < 0 ? -Infinity : max + Math.log1p(others);
  if (hidden.has(token)) {
    return { oddsAgainst: Infinity, confidence: 0, logProbability: -Infinity, logSumExp };
  }
  const gap = max - logits[token];
  const oddsAgainst = others + (1 + others) * Math.expm1(gap);
  return {
    oddsAgainst,
    confidence: 1 / (1 + oddsAgainst),
    logProbability: -(Math.log1p(others) + gap),
    logSumExp,
  };
}

/** A row's uncertainty by measure, its softmax not empty. */
const UNCERTAINTIES: Readonly<
  Record<
    ConfidenceMeasure,
    (logits: ArrayLike<number>, token: number, hidden: ReadonlySet<number>) => number
  >
> = {
  probability: (logits, token, hidden) => confidenceOf(logits, token, hidden).oddsAgainst,
  margin(logits, _token, hidden) {
    const { peak, max, others } = softmaxOf(logits, hidden);
    let second = -Infinity;
    for (let i = 0; i < logits.length; i++) {
      if (i !== peak && !hidden.has(i)) second = Math.max(second, logits[i]);
    }
    const gap = max - second;
    return (others + Math.exp(-gap)) / -Math.expm1(-gap);
  },
  entropy(logits, _token, hidden) {
    const { max, others } = softmaxOf(logits, hidden);
    let weighted = 0;
    for (let i = 0; i < logits.length; i++) {
      if (!hidden.has(i) && logits[i] > -Infinity) {
        weighted += Math.exp(logits[i] - max) * (max - logits[i]);
      }
    }
    return Math.log1p(others) + weighted / (1 + others);
  },
};

/** The measures there are. */
export const CONFIDENCE_MEASURES = Object.keys(UNCERTAINTIES) as readonly ConfidenceMeasure[];

/**
 * The key by which positions are ranked, as `Prediction.uncertainty` has it, of a row of which `token`
 * was chosen.
 * @param logits `[vocabulary]`
 * @param hidden tokens that the softmax leaves out
 */
export function uncertaintyOf(
  logits: ArrayLike<number>,
  token: number,
  hidden: ReadonlySet<number>,
  measure: ConfidenceMeasure = "probability",
): number {
  return hidden.has(token) ? Infinity : UNCERTAINTIES[measure](logits, token, hidden);
}
