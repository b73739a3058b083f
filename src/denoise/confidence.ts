/** Confidence of a row of logits: in one token, and as a whole by each measure. */

/** The confidence in a token; the fields are those of `Prediction`. */
export interface Confidence {
  readonly oddsAgainst: number;
  readonly confidence: number;
  readonly logProbability: number;
  readonly logSumExp: number;
}

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
 * Computes the confidence in `token` within the softmax over the tokens that are not hidden. A
 * hidden token has confidence 0.
 * @param logits `[vocabulary]`
 */
export function confidenceOf(
  logits: ArrayLike<number>,
  token: number,
  hidden: ReadonlySet<number>,
): Confidence {
  const { peak, max, others } = softmaxOf(logits, hidden);
  if (hidden.has(token)) {
    const logSumExp = peak < 0 ? -Infinity : max + Math.log1p(others);
    return { oddsAgainst: Infinity, confidence: 0, logProbability: -Infinity, logSumExp };
  }
  return confidenceWithin({ max, others }, logits[token]);
}

/**
 * The confidence in a token of this logit.
 * @param softmax its largest logit, and the sum of `exp(l - max)` over all tokens but one with it
 */
export function confidenceWithin(
  { max, others }: { readonly max: number; readonly others: number },
  logit: number,
): Confidence {
  const logSumExp = max + Math.log1p(others);
  const gap = max - logit;
  const oddsAgainst = others + (1 + others) * Math.expm1(gap);
  return {
    oddsAgainst,
    confidence: 1 / (1 + oddsAgainst),
    logProbability: -(Math.log1p(others) + gap),
    logSumExp,
  };
}

/** Names of the measures of confidence. Each has a number in `src/kernels/step_plan.ts`. */
export const CONFIDENCE_MEASURES = ["probability", "margin", "entropy"] as const;

/**
 * How a position's confidence c is measured, within the noise-free softmax. `probability`: that of
 * the chosen token. `margin`: the largest probability minus the second largest (Kim et al. 2025,
 * arXiv 2502.06768; `topk_margin` in Dream's published code). `entropy`: there is no c in [0, 1];
 * positions are ranked by the softmax's entropy in nats, the lowest first (`entropy` in Dream's
 * code).
 */
export type ConfidenceMeasure = typeof CONFIDENCE_MEASURES[number];

/** A measure of confidence. */
interface Measure {
  /** Whether it is in [0, 1], so that it can be compared with a threshold. */
  readonly isShare: boolean;
  /** Uncertainty of a row, whose softmax must not be empty. */
  uncertainty(logits: ArrayLike<number>, token: number, hidden: ReadonlySet<number>): number;
}

const probability: Measure = {
  isShare: true,
  uncertainty: (logits, token, hidden) => confidenceOf(logits, token, hidden).oddsAgainst,
};

const margin: Measure = {
  isShare: true,
  uncertainty(logits, _token, hidden) {
    const { peak, max, others } = softmaxOf(logits, hidden);
    let second = -Infinity;
    for (let i = 0; i < logits.length; i++) {
      if (i !== peak && !hidden.has(i)) second = Math.max(second, logits[i]);
    }
    const gap = max - second;
    return (others + Math.exp(-gap)) / -Math.expm1(-gap);
  },
};

const entropy: Measure = {
  isShare: false,
  uncertainty(logits, _token, hidden) {
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

const MEASURES: Readonly<Record<ConfidenceMeasure, Measure>> = { probability, margin, entropy };

/** The default measure, which every choice of a token computes. */
export const PROBABILITY: ConfidenceMeasure = "probability";

/** Whether a measure is in [0, 1], so that it can be compared with a threshold. */
export function isShare(measure: ConfidenceMeasure): boolean {
  return MEASURES[measure].isShare;
}

/**
 * Computes `Prediction.uncertainty`, the key that ranks positions, of a row from which `token` was
 * chosen.
 * @param logits `[vocabulary]`
 * @param hidden tokens to leave out of the softmax
 */
export function uncertaintyOf(
  logits: ArrayLike<number>,
  token: number,
  hidden: ReadonlySet<number>,
  measure: ConfidenceMeasure = PROBABILITY,
): number {
  return hidden.has(token) ? Infinity : MEASURES[measure].uncertainty(logits, token, hidden);
}
