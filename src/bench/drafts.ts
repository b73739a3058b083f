/** `unmask bench drafts`: speed against agreement of several drafts of one target. */

import { PLAIN, STRATEGY_NAMES, strategyOf } from "../denoise/strategy.ts";
import type { AccuracyItem } from "../evaluate/accuracy.ts";
import type { DeviceChoice } from "../gpu/device_choice.ts";
import { readConfig } from "../model/loading/config.ts";
import { passShare } from "../model/pass_cost.ts";
import type { TunedTiles } from "../model/tiles/tuned_tiles.ts";
import { FittedTable } from "./fitted_table.ts";
import type { ShowProgress } from "./progress.ts";
import { benchStrategies, type StrategyBench } from "./strategies.ts";

/** Strategies with a draft; they are timed without a cache. */
export const DRAFTED: readonly string[] = STRATEGY_NAMES.filter((name) =>
  strategyOf(name).needsDraft
);

/** What a draft gains with one strategy. */
export interface DraftedSpeed {
  readonly strategy: string;
  readonly correct: number;
  readonly targetForwards: number;
  readonly draftForwards: number;
  /** Accepted of the proposed. */
  readonly acceptance: number;
  /** Tokens per second on this device, divided by those of plain in the same run. */
  readonly toPlain: number;
  /**
   * The same where a pass waits for the weights: a pass of the target costs 1 whatever its rows, one
   * of the draft its share, and passes are counted as they ran here.
   */
  readonly boundByWeights: number;
}

/** Figures of one draft. */
export interface DraftReport {
  readonly draft: string;
  readonly layers: number;
  readonly ffnSize: number;
  /** Multiplications of a pass, divided by those of the target's; both heads counted. */
  readonly costShare: number;
  /** Seconds of a draft's pass by those of a target's pass of `plain`, as measured here. */
  readonly measuredShare: number;
  /** Mean agreement over the mask ratios, where it was measured. */
  readonly agreement?: number;
  readonly answers: number;
  readonly strategies: readonly DraftedSpeed[];
  /** Share of auto's steps by choice, and its speed to plain. */
  readonly auto: { readonly toPlain: number; readonly choices: Readonly<Record<string, number>> };
}

/** The report that `--json` writes. */
export interface DraftsBench {
  readonly model: string;
  readonly adapter: string;
  readonly drafts: readonly DraftReport[];
}

/**
 * Answers prompts with every draft in turn: each beside plain decoding, prompt by prompt, so that a
 * slow minute of the machine affects both alike.
 */
export async function benchDrafts(
  dir: string,
  drafts: readonly string[],
  items: readonly AccuracyItem[],
  { agreements, ...options }: DeviceChoice & {
    readonly limit?: number;
    readonly steps?: number;
    readonly tuned?: TunedTiles;
    readonly progress?: ShowProgress;
    readonly onProvider?: (line: string) => void;
    /** Mean agreement with the target, by folder. */
    readonly agreements?: ReadonlyMap<string, number>;
  },
): Promise<DraftsBench> {
  const target = readConfig(dir);
  // All are read before the first is timed: a mistyped folder fails at once.
  const configs = drafts.map((draft) => readConfig(draft));
  const reports: DraftReport[] = [];
  let adapter = "";
  let model = "";
  for (const [i, draft] of drafts.entries()) {
    const bench = await benchStrategies(dir, items, {
      ...options,
      draft,
      only: [PLAIN, ...DRAFTED, "auto"],
      quiet: true,
    });
    ({ adapter, model } = bench);
    const { layers, ffnSize } = configs[i];
    reports.push({
      draft,
      layers,
      ffnSize,
      ...figuresOf(bench, passShare(configs[i], target)),
      agreement: agreements?.get(draft),
    });
  }
  const report = { model, adapter, drafts: reports };
  print(report);
  return report;
}

/** Figures of a draft from a run of its strategies beside plain. */
export function figuresOf(
  { settings }: StrategyBench,
  costShare: number,
): Omit<DraftReport, "draft" | "layers" | "ffnSize" | "agreement"> {
  const named = (name: string) => settings.find((setting) => setting.name === name)!;
  const plain = named(PLAIN);
  const auto = named("auto");
  const drafted = DRAFTED.map(named);
  const seconds = (key: "draftSeconds" | "draftForwards") =>
    drafted.reduce((sum, { totals }) => sum + totals[key], 0);
  return {
    costShare,
    measuredShare: seconds("draftSeconds") / seconds("draftForwards") /
      (plain.totals.targetSeconds / plain.totals.forwards),
    answers: plain.totals.answers,
    strategies: drafted.map(({ name, correct, totals, toPlain }) => ({
      strategy: name,
      correct,
      targetForwards: totals.forwards,
      draftForwards: totals.draftForwards,
      acceptance: totals.accepted / totals.proposed,
      toPlain: toPlain!,
      boundByWeights: plain.totals.forwards /
        (totals.forwards + costShare * totals.draftForwards) *
        (totals.completionTokens / plain.totals.completionTokens),
    })),
    auto: { toPlain: auto.toPlain!, choices: auto.choices },
  };
}

function print({ adapter, model, drafts }: DraftsBench): void {
  const table = new FittedTable({
    head: ["draft", "layers x ffn", "cost share", "measured share", "agreement", "auto to plain"],
  });
  const speeds = new FittedTable({
    head: ["draft", "strategy", "exact answers", "accepted", "to plain", "bound by weights"],
  });
  for (const draft of drafts) {
    table.push([
      draft.draft,
      `${draft.layers} x ${draft.ffnSize}`,
      draft.costShare.toFixed(3),
      draft.measuredShare.toFixed(3),
      draft.agreement?.toFixed(4) ?? "",
      `${draft.auto.toPlain.toFixed(2)} x`,
    ]);
    for (const { strategy, correct, acceptance, toPlain, boundByWeights } of draft.strategies) {
      speeds.push([
        draft.draft,
        strategy,
        `${correct} of ${draft.answers}`,
        acceptance.toFixed(3),
        `${toPlain.toFixed(2)} x`,
        `${boundByWeights.toFixed(2)} x`,
      ]);
    }
  }
  console.log(`${table}\n${speeds}`);
  console.log(
    `${model} on ${adapter}; each draft beside plain in a run of its own, prompt by prompt. Bound ` +
      "by weights: a target's pass costs 1 whatever its rows, a draft's its cost share.",
  );
}
