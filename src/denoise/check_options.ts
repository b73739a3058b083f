/** Checks options, alone and in combination. */

import { CACHE_POLICIES, type CachePolicy, NO_CACHE } from "./cache_plan.ts";
import { CONFIDENCE_MEASURES, type ConfidenceMeasure, isShare, PROBABILITY } from "./confidence.ts";
import {
  BY_CONFIDENCE,
  rankedBy,
  type Remasking,
  REMASKINGS,
  type SelectionRule,
} from "./selection.ts";

/** The error of an option that is out of range or does not fit another; `option` names it. */
export class OptionError extends RangeError {
  /** Name of the option to change. */
  readonly option: string;
  /** Makes the error; `message` says what is wrong and what would fit. */
  constructor(option: string, message: string) {
    super(message);
    this.name = "OptionError";
    this.option = option;
  }
}

/** @throws {OptionError} for an unknown cache, or an interval below 1 */
export function checkCache(
  { cache = NO_CACHE, refreshInterval = Infinity }: {
    readonly cache?: CachePolicy;
    readonly refreshInterval?: number;
  },
): void {
  if (!CACHE_POLICIES.includes(cache)) {
    throw new OptionError("cache", `cache is ${cache}: expected ${CACHE_POLICIES.join(", ")}`);
  }
  if (!(refreshInterval >= 1)) {
    throw new OptionError(
      "refreshInterval",
      `refreshInterval is ${refreshInterval}: expected 1 or more steps`,
    );
  }
}

/** @throws {OptionError} for a window that is not a number of positions */
export function checkSuffixWindow({ suffixWindow }: { readonly suffixWindow?: number }): void {
  if (suffixWindow === undefined) return;
  if (!(Number.isInteger(suffixWindow) && suffixWindow >= 0)) {
    throw new OptionError(
      "suffixWindow",
      `suffixWindow is ${suffixWindow}: expected a whole number of positions`,
    );
  }
}

/** @throws {OptionError} for a threshold or factor out of range */
export function checkRule(rule: SelectionRule): void {
  if (rule.kind === "threshold" && !(rule.threshold > 0 && rule.threshold <= 1)) {
    throw new OptionError(
      "threshold",
      `threshold is ${rule.threshold}: expected a number above 0, at most 1`,
    );
  }
  if (rule.kind === "factor" && !(rule.factor > 0 && Number.isFinite(rule.factor))) {
    throw new OptionError("factor", `factor is ${rule.factor}: expected a number above 0`);
  }
}

/**
 * Checks how positions are ranked.
 * @param comparer name of the strategy or rule that compares confidences, if one does
 * @throws {OptionError} for an unknown remasking or confidence, or two that do not fit together
 */
export function checkRanking(
  { remasking = BY_CONFIDENCE, confidence = PROBABILITY }: {
    readonly remasking?: Remasking;
    readonly confidence?: ConfidenceMeasure;
  },
  comparer?: string,
): void {
  if (!REMASKINGS.includes(remasking)) {
    const known = REMASKINGS.join(", ");
    throw new OptionError("remasking", `remasking is ${remasking}: expected one of ${known}`);
  }
  if (!CONFIDENCE_MEASURES.includes(confidence)) {
    const known = CONFIDENCE_MEASURES.join(", ");
    throw new OptionError("confidence", `confidence is ${confidence}: expected one of ${known}`);
  }
  if (comparer !== undefined && !isShare(confidence)) {
    throw new OptionError(
      "confidence",
      `${comparer} needs a confidence in [0, 1], which ${confidence} is not: ` +
        `choose confidence ${CONFIDENCE_MEASURES.filter(isShare).join(" or ")}`,
    );
  }
  if (comparer !== undefined && remasking !== BY_CONFIDENCE) {
    throw new OptionError(
      "remasking",
      `${comparer} goes by confidence, remasking ${remasking} by ${rankedBy(remasking)}: ` +
        "choose one of the two",
    );
  }
  if (confidence !== PROBABILITY && remasking !== BY_CONFIDENCE) {
    throw new OptionError(
      "confidence",
      `confidence ${confidence} is for ranking, and remasking ${remasking} ranks by ` +
        `${rankedBy(remasking)}: choose one of the two`,
    );
  }
}

/**
 * Checks for a strategy that compares probabilities.
 * @throws {OptionError} for another confidence
 */
export function requireProbability(confidence: ConfidenceMeasure = PROBABILITY): void {
  if (confidence === PROBABILITY) return;
  throw new OptionError(
    "confidence",
    `confidence is ${confidence}: this strategy compares probabilities, leave it out`,
  );
}

/** @throws {OptionError} naming the first of these options that is not a number from 0 to 1 */
export function checkProbabilities(options: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value >= 0 && value <= 1) continue;
    throw new OptionError(name, `${name} is ${value}: expected a number from 0 to 1`);
  }
}

/** @throws {OptionError} naming the first of these options that is given but not a count from 1 */
export function checkCounts(options: Readonly<Record<string, number | undefined>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || (Number.isInteger(value) && value >= 1)) continue;
    throw new OptionError(name, `${name} is ${value}: expected a whole number above 0`);
  }
}
