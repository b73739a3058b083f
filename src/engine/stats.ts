/** The cost of an answer, and of all answers of an engine. */

import {
  type AcceptanceTally,
  mergeTallies,
  NO_ACCEPTANCE,
} from "../denoise/strategies/acceptance.ts";
import type { CachePolicy } from "../denoise/cache_plan.ts";
import type { ControllerFigures } from "../denoise/auto/controller.ts";
import { type CallTime, callTimer, timedPredictor } from "../denoise/auto/timed_predictor.ts";
import type { Predictor } from "../denoise/predictor.ts";
import type { StrategyName, StrategyResult } from "../denoise/strategy.ts";

/** Token counts of a finished answer. */
export interface Usage {
  /** Tokens of the rendered prompt. */
  readonly promptTokens: number;
  /** Tokens of the answer, including its first end token but not the padding after it. */
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
  /** Passes of a chunk that ran after the work was done; the two numbers above leave them out. */
  readonly idleForwards: number;
  /** Passes of either model that recomputed all cached keys and values. */
  readonly cacheRefreshes: number;
  /** Steps (gate, commit_verify: tokens) proposed in all rounds. */
  readonly proposed: number;
  /** Proposals that were accepted. */
  readonly accepted: number;
  /** Rounds by accepted proposals: `acceptedLengths[n]` rounds accepted n of theirs. */
  readonly acceptedLengths: readonly number[];
  /** Judged tokens by depth, mask ratio and position. */
  readonly acceptance: AcceptanceTally;
  /** Readbacks from the GPU. */
  readonly readbacks: number;
  /**
   * Seconds of the target's passes that this answer is charged for. Requests share passes: each pays
   * an equal part of what a pass costs whatever its rows, and of the rest a part by its rows. So the
   * seconds of all answers add up to those in which passes ran.
   */
  readonly targetSeconds: number;
  /** Seconds of the draft's passes that it is charged for, likewise. */
  readonly draftSeconds: number;
  /**
   * Seconds in which it waited for the results of its passes. For an answer that runs alone they are
   * the two above; beside others it also waits for their rows, and for passes that it has no part in.
   */
  readonly readbackSeconds: number;
  /** Seconds from the first forward to the last commit. */
  readonly seconds: number;
}

/** Statistics of one answer. */
export interface GenerateStats extends PassStats {
  /** The seed that was used. */
  readonly seed: number;
  /** How the answer was denoised. */
  readonly strategy: StrategyName;
  /** Which keys and values were reused. */
  readonly cache: CachePolicy;
  /** Number of steps per choice of `auto`. */
  readonly choices?: Readonly<Record<string, number>>;
  /** Costs that `auto` has measured on this device, in milliseconds per row. */
  readonly figures?: ControllerFigures;
}

/** Totals of an engine since it was loaded. */
export interface EngineTotals extends PassStats, Usage {
  /** Answers that were completed. */
  readonly answers: number;
  /** Answers that were cancelled or failed; the other figures do not include them. */
  readonly unfinished: number;
  /** Number of answers per strategy. */
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

/** Counts an answer that was cancelled or failed. */
export function withUnfinished(totals: EngineTotals): EngineTotals {
  return { ...totals, unfinished: totals.unfinished + 1 };
}

/** Adds one answer to the totals. */
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

/** Counts passes of the target that no strategy made. */
export function withPasses(result: StrategyResult, passes: number): StrategyResult {
  const { targetForwards, targetStates, readbacks } = result;
  return {
    ...result,
    targetForwards: targetForwards + passes,
    targetStates: targetStates + passes,
    readbacks: readbacks + passes,
  };
}

/** Sums of counts by name, such as steps by each choice of `auto`. */
export function sumsByName(
  all: readonly Readonly<Record<string, number>>[],
): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const [name, count] of all.flatMap((one) => Object.entries(one))) {
    sums[name] = (sums[name] ?? 0) + count;
  }
  return sums;
}

function addCounts(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => (a[i] ?? 0) + (b[i] ?? 0));
}

/** Measures the time of one answer. */
export class AnswerMeter {
  /** The target with its clock; the answer must use it instead of the given model. */
  readonly target: Predictor;
  readonly draft: Predictor | undefined;
  readonly #timed: ReturnType<typeof callTimer>;
  readonly #start = performance.now();
  readonly #spent = { target: 0, draft: 0, waiting: 0 };
  #cacheRefreshes = 0;

  /** Starts the clock. */
  constructor(target: Predictor, draft?: Predictor) {
    this.#timed = callTimer(target);
    this.target = this.#observe(target, "target");
    this.draft = draft && this.#observe(draft, "draft");
  }

  /** Combines what was measured so far with what the strategy counted. */
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
      readbackSeconds: this.#spent.waiting / 1000,
      seconds: (performance.now() - this.#start) / 1000,
    };
  }

  /** Counts the time of another call of the target. */
  async timed<T>(call: () => Promise<T>): Promise<T> {
    const { result, time } = await this.#timed(call);
    this.#count("target", time);
    return result;
  }

  #count(name: "target" | "draft", { milliseconds, waited }: CallTime): void {
    this.#spent[name] += milliseconds;
    this.#spent.waiting += waited;
  }

  #observe(model: Predictor, name: "target" | "draft"): Predictor {
    return timedPredictor(model, {
      predicted: (_answers, time, cache) => {
        this.#count(name, time);
        if (cache === "refresh") this.#cacheRefreshes++;
      },
      ran: (steps, time) => {
        this.#count(name, time);
        this.#cacheRefreshes += steps.filter(({ cache }) => cache === "refresh").length;
      },
    });
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Counts how often each number occurs, from 0 to the largest. */
function histogram(values: readonly number[]): number[] {
  const counts = new Array<number>(values.length === 0 ? 0 : Math.max(...values) + 1).fill(0);
  for (const value of values) counts[value]++;
  return counts;
}
