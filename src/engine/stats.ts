/** What answers cost: of each one, and of all that an engine gave. */

import {
  type AcceptanceTally,
  mergeTallies,
  NO_ACCEPTANCE,
} from "../denoise/strategies/acceptance.ts";
import type { CachePolicy } from "../denoise/cache_plan.ts";
import type { ControllerFigures } from "../denoise/auto/controller.ts";
import { timedPredictor } from "../denoise/auto/timed_predictor.ts";
import type { Predictor } from "../denoise/predictor.ts";
import type { StrategyName, StrategyResult } from "../denoise/strategy.ts";

/** Token counts of a finished answer. */
export interface Usage {
  /** Tokens of the rendered prompt. */
  readonly promptTokens: number;
  /** Tokens of the answer, its first end token included, the padding behind it not. */
  readonly completionTokens: number;
}

/** Forward passes, proposals and time. */
export interface PassStats {
  /** Forward passes of the target; a batch of states counts once. */
  readonly forwards: number;
  /** States in those passes. */
  readonly targetStates: number;
  /** Forward passes of the draft. */
  readonly draftForwards: number;
  /** Passes that ran in a chunk after there was nothing left to do; not in the two above. */
  readonly idleForwards: number;
  /** Passes of either model that computed all keys and values anew to keep them. */
  readonly cacheRefreshes: number;
  /** Steps (gate, commit_verify: tokens) proposed, of all rounds. */
  readonly proposed: number;
  /** Of those, accepted. */
  readonly accepted: number;
  /** Rounds by how many proposals they accepted: `acceptedLengths[n]` rounds accepted n. */
  readonly acceptedLengths: readonly number[];
  /** Judged tokens by depth, mask ratio and position. */
  readonly acceptance: AcceptanceTally;
  /** Readbacks from the GPU. */
  readonly readbacks: number;
  /** Seconds in calls of the target: its passes, and verifying. */
  readonly targetSeconds: number;
  /** Seconds in calls of the draft. */
  readonly draftSeconds: number;
  /** Of both, seconds in which the host waited for the GPU's results. */
  readonly readbackSeconds: number;
  /** Seconds from the first forward to the last commit. */
  readonly seconds: number;
}

/** How an answer was made. */
export interface GenerateStats extends PassStats {
  /** The seed that was used. */
  readonly seed: number;
  /** How the answer was denoised. */
  readonly strategy: StrategyName;
  /** Which keys and values were reused. */
  readonly cache: CachePolicy;
  /** What `auto` chose: steps by choice. */
  readonly choices?: Readonly<Record<string, number>>;
  /** What `auto` has learnt of this device, in milliseconds per row. */
  readonly figures?: ControllerFigures;
}

/** What an engine has done since it was loaded. */
export interface EngineTotals extends PassStats, Usage {
  /** Answers that came to their end. */
  readonly answers: number;
  /** Answers that were cancelled or failed; what they cost is not in the other figures. */
  readonly unfinished: number;
  /** Answers by strategy. */
  readonly strategies: Readonly<Partial<Record<StrategyName, number>>>;
}

/** The totals of an engine that has done nothing. */
export const NO_TOTALS: EngineTotals = {
  answers: 0,
  unfinished: 0,
  strategies: {},
  promptTokens: 0,
  completionTokens: 0,
  forwards: 0,
  targetStates: 0,
  draftForwards: 0,
  idleForwards: 0,
  cacheRefreshes: 0,
  proposed: 0,
  accepted: 0,
  acceptedLengths: [],
  acceptance: NO_ACCEPTANCE,
  readbacks: 0,
  targetSeconds: 0,
  draftSeconds: 0,
  readbackSeconds: 0,
  seconds: 0,
};

/** The totals with one more answer. */
export function addAnswer(
  totals: EngineTotals,
  { usage, stats }: { readonly usage: Usage; readonly stats: GenerateStats },
): EngineTotals {
  const { strategies } = totals;
  return {
    ...totals,
    answers: totals.answers + 1,
    strategies: { ...strategies, [stats.strategy]: (strategies[stats.strategy] ?? 0) + 1 },
    promptTokens: totals.promptTokens + usage.promptTokens,
    completionTokens: totals.completionTokens + usage.completionTokens,
    forwards: totals.forwards + stats.forwards,
    targetStates: totals.targetStates + stats.targetStates,
    draftForwards: totals.draftForwards + stats.draftForwards,
    idleForwards: totals.idleForwards + stats.idleForwards,
    cacheRefreshes: totals.cacheRefreshes + stats.cacheRefreshes,
    proposed: totals.proposed + stats.proposed,
    accepted: totals.accepted + stats.accepted,
    acceptedLengths: addCounts(totals.acceptedLengths, stats.acceptedLengths),
    acceptance: mergeTallies(totals.acceptance, stats.acceptance),
    readbacks: totals.readbacks + stats.readbacks,
    targetSeconds: totals.targetSeconds + stats.targetSeconds,
    draftSeconds: totals.draftSeconds + stats.draftSeconds,
    readbackSeconds: totals.readbackSeconds + stats.readbackSeconds,
    seconds: totals.seconds + stats.seconds,
  };
}

function addCounts(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => (a[i] ?? 0) + (b[i] ?? 0));
}

/** A model whose host waits for its results. */
export interface TimedModel extends Predictor {
  readonly readback: { readonly waitedMilliseconds: number };
}

/** Takes the time of one answer. */
export class AnswerMeter {
  /** The models, to be used in place of those given. */
  readonly target: Predictor;
  readonly draft: Predictor | undefined;
  readonly #models: readonly TimedModel[];
  readonly #start = performance.now();
  readonly #waitedBefore: number;
  readonly #spent = { target: 0, draft: 0 };
  #cacheRefreshes = 0;

  /** Starts the clock. */
  constructor(target: TimedModel, draft?: TimedModel) {
    this.#models = draft ? [target, draft] : [target];
    this.#waitedBefore = this.#waited();
    this.target = this.#observe(target, "target");
    this.draft = draft && this.#observe(draft, "draft");
  }

  /** What was measured so far, and what a strategy counted. */
  stats(result: StrategyResult): PassStats {
    return {
      forwards: result.targetForwards,
      targetStates: result.targetStates,
      draftForwards: result.draftForwards,
      idleForwards: result.idleForwards,
      cacheRefreshes: this.#cacheRefreshes,
      proposed: sum(result.proposed),
      accepted: sum(result.accepted),
      acceptedLengths: histogram(result.accepted),
      acceptance: result.acceptance,
      readbacks: result.readbacks,
      targetSeconds: this.#spent.target / 1000,
      draftSeconds: this.#spent.draft / 1000,
      readbackSeconds: (this.#waited() - this.#waitedBefore) / 1000,
      seconds: (performance.now() - this.#start) / 1000,
    };
  }

  #waited(): number {
    return sum(this.#models.map(({ readback }) => readback.waitedMilliseconds));
  }

  #observe(model: Predictor, name: "target" | "draft"): Predictor {
    return timedPredictor(model, {
      predicted: (_answers, milliseconds, cache) => {
        this.#spent[name] += milliseconds;
        if (cache === "refresh") this.#cacheRefreshes++;
      },
      ran: (steps, milliseconds) => {
        this.#spent[name] += milliseconds;
        this.#cacheRefreshes += steps.filter(({ cache }) => cache === "refresh").length;
      },
    });
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** How often each number occurs, from 0 to the largest. */
function histogram(values: readonly number[]): number[] {
  const counts = new Array<number>(values.length === 0 ? 0 : Math.max(...values) + 1).fill(0);
  for (const value of values) counts[value]++;
  return counts;
}
