/** All strategies of denoising an answer, behind one interface. */

import { autoExact } from "./auto/auto.ts";
import { autoFast } from "./auto/auto_fast.ts";
import { NO_CACHE } from "./cache_plan.ts";
import {
  checkCache,
  checkRanking,
  checkRule,
  checkSuffixWindow,
  OptionError,
} from "./check_options.ts";
import { PROBABILITY } from "./confidence.ts";
import { commitVerifyStrategy } from "./strategies/commit_verify.ts";
import { losslessStrategy, selfStrategy } from "./strategies/draft_verify.ts";
import { gateStrategy } from "./strategies/gate.ts";
import { factorStrategy, plainStrategy, thresholdStrategy } from "./strategies/target_only.ts";
import {
  EXACT,
  isExact,
  type Models,
  QUALITIES,
  type Quality,
  type Strategy,
  type StrategyOptions,
} from "./strategy_options.ts";

export { EXACT, QUALITIES };
export type {
  Models,
  Quality,
  Strategy,
  StrategyOptions,
  StrategyResult,
} from "./strategy_options.ts";

/** Names of the strategies, in the order in which help and errors list them. */
export const STRATEGY_NAMES = [
  "plain",
  "threshold",
  "factor",
  "lossless",
  "self",
  "gate",
  "commit_verify",
  "auto",
] as const;

/**
 * How an answer is denoised. `plain`: each step is one forward pass and commits the schedule's
 * number of tokens. `threshold` and `factor`: a step commits all tokens that are confident enough.
 * `lossless` (with a draft) and `self`: steps are proposed ahead and verified, and the answer
 * equals plain's. `gate`: commits tokens on which draft and target agree. `commit_verify`: the
 * draft writes ahead and the target judges each token. `auto`: measures what steps cost and
 * chooses, within the request's quality.
 */
export type StrategyName = typeof STRATEGY_NAMES[number];

/** All strategies except auto, which chooses among them. */
const FIXED = {
  plain: plainStrategy,
  threshold: thresholdStrategy,
  factor: factorStrategy,
  lossless: losslessStrategy,
  self: selfStrategy,
  gate: gateStrategy,
  commit_verify: commitVerifyStrategy,
} satisfies Partial<Record<StrategyName, Strategy>>;

/** Auto for each quality; `fast` also tries the lossy strategies if there is a draft. */
const AUTO: Readonly<Record<Quality, Strategy["run"]>> = {
  exact: (sequence, models, options) => autoExact(sequence, models, options, FIXED),
  fast: (sequence, models, options) => autoFast(sequence, models, options, LOSSY_DRAFTING),
};

const LOSSY_DRAFTING = Object.fromEntries(
  Object.entries<Strategy>(FIXED).filter(([, { lossless, needsDraft }]) => needsDraft && !lossless),
);

const STRATEGIES: Readonly<Record<StrategyName, Strategy>> = {
  ...FIXED,
  auto: {
    lossless: true,
    needsDraft: false,
    uses: ["confidence", "quality", "threshold", "sampling"],
    run: (sequence, models, options) => AUTO[options.quality ?? EXACT](sequence, models, options),
  },
};

/** The plain schedule, whose result every lossless strategy gives. */
export const PLAIN: StrategyName = "plain";

/** Returns a strategy by its name. */
export function strategyOf(name: StrategyName): Strategy {
  return STRATEGIES[name];
}

/** The strategies that use an option. */
export function strategiesUsing(option: keyof StrategyOptions): StrategyName[] {
  return STRATEGY_NAMES.filter((name) => strategyOf(name).uses.includes(option));
}

/** Options that only some strategies use. */
const SPECIAL = [...new Set(STRATEGY_NAMES.flatMap((name) => strategyOf(name).uses))];

/**
 * The strategy of a request that names none: `plain` with a cache or a suffix window, else `auto`.
 */
export function defaultStrategy(
  { cache = NO_CACHE, suffixWindow }: Pick<StrategyOptions, "cache" | "suffixWindow">,
): StrategyName {
  return cache !== NO_CACHE || suffixWindow !== undefined ? PLAIN : "auto";
}

/** Whether a strategy may keep keys and values, for which memory must be planned. */
export function mayKeepKeys(
  { cache = NO_CACHE, quality }: Pick<StrategyOptions, "cache" | "quality">,
): boolean {
  return cache !== NO_CACHE || !isExact(quality);
}

/** The models whose keys and values a strategy may keep, where it may keep any. */
const KEEPERS: Readonly<Partial<Record<StrategyName, readonly (keyof Models)[]>>> = {
  commit_verify: ["draft"],
  lossless: ["target", "draft"],
  auto: ["target", "draft"],
};

/** The models whose keys and values an answer may keep. */
export function keepers(
  name: StrategyName,
  options: Pick<StrategyOptions, "cache" | "quality">,
): readonly (keyof Models)[] {
  return mayKeepKeys(options) ? KEEPERS[name] ?? ["target"] : [];
}

/** Default values, which any strategy accepts. */
const NEUTRAL: Partial<StrategyOptions> = { cache: NO_CACHE, confidence: PROBABILITY };

/**
 * Checks that strategy, options and models fit together.
 * @throws {OptionError} saying why they do not
 */
export function checkStrategy(
  name: StrategyName,
  options: Partial<StrategyOptions>,
  hasDraft: boolean,
): void {
  const strategy = strategyOf(name);
  if (strategy.needsDraft && !hasDraft) {
    throw new OptionError("strategy", `strategy ${name} needs a draft model, and none is loaded`);
  }
  for (const option of SPECIAL) {
    const value = options[option];
    if (value === undefined || strategy.uses.includes(option)) continue;
    if (value === NEUTRAL[option]) continue;
    throw new OptionError(
      option,
      `strategy ${name} does not use ${option}: leave it out, or choose ` +
        strategiesUsing(option).join(" or "),
    );
  }
  if (options.quality !== undefined && !QUALITIES.includes(options.quality)) {
    throw new OptionError(
      "quality",
      `quality is ${options.quality}, expected ${QUALITIES.join(" or ")}`,
    );
  }
  if (name === "auto" && options.threshold !== undefined && isExact(options.quality)) {
    const others = QUALITIES.filter((quality) => !isExact(quality)).join(" or ");
    throw new OptionError(
      "threshold",
      `quality ${EXACT} uses no threshold: choose quality ${others}`,
    );
  }
  checkCache(options);
  checkSuffixWindow(options);
  const { threshold, factor } = options;
  if (threshold !== undefined) checkRule({ kind: "threshold", threshold });
  if (factor !== undefined) checkRule({ kind: "factor", factor });
  const fast = isExact(options.quality) ? undefined : `quality ${options.quality}`;
  checkRanking(options, strategy.lossless ? fast : `strategy ${name}`);
}
