/** Every way to denoise one answer behind one interface. */

import { autoExact } from "./auto/auto.ts";
import { autoFast } from "./auto/auto_fast.ts";
import { repeatsBlocks } from "./strategies/block_steps.ts";
import { denoiseBlocks } from "./strategies/blocks.ts";
import type { Controller } from "./auto/controller.ts";
import type { CachePolicy } from "./cache_plan.ts";
import {
  checkCache,
  checkRanking,
  checkRule,
  checkSuffixWindow,
  OptionError,
} from "./check_options.ts";
import { commitVerify } from "./strategies/commit_verify.ts";
import { denoise } from "./denoise.ts";
import type { DenoiseOptions, DenoiseStep } from "./denoise_step.ts";
import { lossless, selfDraft } from "./strategies/draft_verify.ts";
import { gate } from "./strategies/gate.ts";
import type { Predictor, SelectionRule } from "./predictor.ts";
import { type ProposalResult, withoutProposals } from "./strategies/proposal_run.ts";
import type { Sequence } from "./sequence.ts";

/**
 * From 0.5 on a guess is the target's own choice, so the rule says something only below; at 0.3 no
 * more than two other tokens are as likely.
 */
const BACK_THRESHOLD = 0.3;

/** What a strategy may be told; each uses what concerns it. */
export interface StrategyOptions extends DenoiseOptions {
  /**
   * Keys and values that are reused (plain, threshold, factor, lossless, self; commit_verify: the
   * draft's); default `none`.
   */
  readonly cache?: CachePolicy;
  /** Steps of a block between two refreshes of a cache; default: at its first step only. */
  readonly refreshInterval?: number;
  /** Masked positions behind the block that a pass still sees (as a cache, but not commit_verify). */
  readonly suffixWindow?: number;
  /** Least confidence that is committed (threshold); default 0.9. */
  readonly threshold?: number;
  /** Fast-dLLM's factor (factor); default 1. */
  readonly factor?: number;
  /** Steps proposed a round, at most; default 4 (lossless, self) or 2 (commit_verify). */
  readonly depth?: number;
  /** Rounds with proposals a block, at most (all that draft but auto); default: no bound. */
  readonly rounds?: number;
  /** Least confidence of the draft (gate, commit_verify); default 0.9. */
  readonly draftThreshold?: number;
  /** Least confidence of the target (gate, commit_verify); default 0.7. */
  readonly targetThreshold?: number;
  /** Least probability that the target gives a guess which stays (commit_verify); default 0.3. */
  readonly backThreshold?: number;
  /** What auto may choose: `exact` (default) is only what gives the plain schedule's result. */
  readonly quality?: Quality;
  /** What auto has learnt and learns on. */
  readonly controller?: Controller;
}

/**
 * What strategy `auto` may choose: `exact`, only what gives the answer of `plain`; `fast`, also what
 * commits several tokens a step and may give another.
 */
export type Quality = "exact" | "fast";

/** The qualities there are. */
export const QUALITIES: readonly Quality[] = ["exact", "fast"];

/** The models at hand. */
export interface Models {
  readonly target: Predictor;
  readonly draft?: Predictor;
}

/** What a finished answer cost and came to. */
export interface StrategyResult extends ProposalResult {
  /** Forward passes that found nothing left to do; not in `targetForwards`. */
  readonly idleForwards: number;
  /** What auto chose: steps by choice. */
  readonly choices?: Readonly<Record<string, number>>;
}

type Run = AsyncGenerator<DenoiseStep, StrategyResult, void>;

/** What a strategy is and needs. */
export interface Strategy {
  /**
   * Whether the result equals that of `plain` under the same cache, refresh interval and suffix window,
   * whatever else is asked for; auto's with quality `exact`.
   */
  readonly lossless: boolean;
  readonly needsDraft: boolean;
  /** Options of {@linkcode StrategyOptions} that it uses, besides those of `denoise`. */
  readonly uses: readonly (keyof StrategyOptions)[];
  run(sequence: Sequence, models: Models, options: StrategyOptions): Run;
}

/** Adapts a generator of the plain kind. */
async function* targetOnly(
  sequence: Sequence,
  { target }: Models,
  options: StrategyOptions,
  rule: SelectionRule | undefined,
): Run {
  const result = rule || repeatsBlocks(options)
    ? yield* denoiseBlocks(sequence, target, { ...options, rule: rule ?? { kind: "count" } })
    : yield* denoise([sequence], target, options);
  return { ...withoutProposals(result), idleForwards: result.idleForwards ?? 0 };
}

async function* proposing(
  steps: AsyncGenerator<DenoiseStep, ProposalResult, void>,
): Run {
  return { ...yield* steps, idleForwards: 0 };
}

const STRATEGIES: Readonly<Record<StrategyName, Strategy>> = {
  plain: {
    lossless: true,
    needsDraft: false,
    uses: ["confidence", "cache", "refreshInterval", "suffixWindow"],
    run: (sequence, models, options) => targetOnly(sequence, models, options, undefined),
  },
  threshold: {
    lossless: false,
    needsDraft: false,
    uses: ["confidence", "cache", "refreshInterval", "suffixWindow", "threshold"],
    run: (sequence, models, options) =>
      targetOnly(sequence, models, options, {
        kind: "threshold",
        threshold: options.threshold ?? 0.9,
      }),
  },
  factor: {
    lossless: false,
    needsDraft: false,
    uses: ["confidence", "cache", "refreshInterval", "suffixWindow", "factor"],
    run: (sequence, models, options) =>
      targetOnly(sequence, models, options, { kind: "factor", factor: options.factor ?? 1 }),
  },
  lossless: {
    lossless: true,
    needsDraft: true,
    uses: ["confidence", "cache", "refreshInterval", "suffixWindow", "depth", "rounds"],
    run: (sequence, { target, draft }, options) =>
      proposing(lossless(sequence, target, draft!, { ...options, depth: options.depth ?? 4 })),
  },
  self: {
    lossless: true,
    needsDraft: false,
    uses: ["confidence", "cache", "refreshInterval", "suffixWindow", "depth", "rounds"],
    run: (sequence, { target }, options) =>
      proposing(selfDraft(sequence, target, { ...options, depth: options.depth ?? 4 })),
  },
  gate: {
    lossless: false,
    needsDraft: true,
    uses: ["draftThreshold", "targetThreshold", "rounds"],
    run: (sequence, { target, draft }, options) =>
      proposing(gate(sequence, target, draft!, {
        ...options,
        draftThreshold: options.draftThreshold ?? 0.9,
        targetThreshold: options.targetThreshold ?? 0.7,
      })),
  },
  commit_verify: {
    lossless: false,
    needsDraft: true,
    uses: [
      "cache",
      "refreshInterval",
      "depth",
      "rounds",
      "draftThreshold",
      "targetThreshold",
      "backThreshold",
    ],
    run: (sequence, { target, draft }, options) =>
      commitVerify(sequence, target, draft!, {
        ...options,
        depth: options.depth ?? 2,
        draftThreshold: options.draftThreshold ?? 0.9,
        targetThreshold: options.targetThreshold ?? 0.7,
        backThreshold: options.backThreshold ?? BACK_THRESHOLD,
      }),
  },
  auto: {
    lossless: true,
    needsDraft: false,
    uses: ["confidence", "quality", "threshold"],
    run: (sequence, models, options) =>
      options.quality === "fast"
        ? autoFast(sequence, models, options, LOSSY_DRAFTING)
        : proposing(autoExact(sequence, models, options)),
  },
};

/** What auto may also try where the answer need not be the plain schedule's. */
const LOSSY_DRAFTING = Object.fromEntries(
  Object.entries(STRATEGIES)
    .filter(([, { lossless, needsDraft }]) => needsDraft && !lossless)
    .map(([name, { run }]) => [name, run]),
);

/**
 * How an answer is denoised. `plain`: one forward pass a step, then the schedule's number of commits.
 * `threshold` and `factor`: a step commits all that is sure enough. `lossless` (by a draft) and `self`:
 * steps are proposed ahead and verified, the answer is plain's. `gate`: commits where draft and target
 * agree. `commit_verify`: the draft writes ahead, the target judges each token. `auto`: measures what
 * steps cost here and chooses, within the request's quality.
 */
export type StrategyName =
  | "plain"
  | "threshold"
  | "factor"
  | "lossless"
  | "self"
  | "gate"
  | "commit_verify"
  | "auto";

/** The strategies there are. */
export const STRATEGY_NAMES = Object.keys(STRATEGIES) as readonly StrategyName[];

/** A strategy by name. */
export function strategyOf(name: StrategyName): Strategy {
  return STRATEGIES[name];
}

/** Options that only some strategies use. */
const SPECIAL: readonly (keyof StrategyOptions)[] = [
  "confidence",
  "cache",
  "refreshInterval",
  "suffixWindow",
  "threshold",
  "factor",
  "depth",
  "rounds",
  "draftThreshold",
  "targetThreshold",
  "backThreshold",
  "quality",
];

/**
 * Checks that strategy, options and models fit together.
 * @throws {OptionError} with the reason
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
    if (option === "cache" && value === "none") continue;
    if (option === "confidence" && value === "probability") continue;
    const users = STRATEGY_NAMES.filter((other) => strategyOf(other).uses.includes(option));
    throw new OptionError(
      option,
      `strategy ${name} does not use ${option}: leave it out, or choose ${users.join(" or ")}`,
    );
  }
  if (options.quality !== undefined && !QUALITIES.includes(options.quality)) {
    throw new OptionError(
      "quality",
      `quality is ${options.quality}, expected ${QUALITIES.join(" or ")}`,
    );
  }
  if (name === "auto" && options.threshold !== undefined && options.quality !== "fast") {
    throw new OptionError("threshold", "quality exact uses no threshold: choose quality fast");
  }
  checkCache(options);
  checkSuffixWindow(options);
  const { threshold, factor } = options;
  if (threshold !== undefined) checkRule({ kind: "threshold", threshold });
  if (factor !== undefined) checkRule({ kind: "factor", factor });
  const fast = options.quality === "fast" ? "quality fast" : undefined;
  checkRanking(options, strategy.lossless ? fast : `strategy ${name}`);
}
