/** `unmask bench strategies`: compares speed and correctness of the ways to denoise. */

import { NO_CACHE } from "../denoise/cache_plan.ts";
import { EXACT, PLAIN, QUALITIES, type Quality, strategyOf } from "../denoise/strategy.ts";
import type { Engine } from "../engine/engine.ts";
import { loadEngine } from "../engine/load.ts";
import type { EngineTotals, GenerateRequest, GenerateStats, Usage } from "../engine/request.ts";
import { addAnswer, NO_TOTALS, sumsByName } from "../engine/stats.ts";
import type { DeviceChoice } from "../gpu/device_choice.ts";
import type { TunedTiles } from "../model/tiles/tuned_tiles.ts";
import { type AccuracyItem, isCorrect } from "../evaluate/accuracy.ts";
import { type ShowProgress, SILENT } from "./progress.ts";
import { FittedTable } from "./fitted_table.ts";

/** One way to denoise. */
export type Setting =
  & Pick<
    GenerateRequest,
    "quality" | "cache" | "threshold" | "factor" | "draftDepth" | "constraint"
  >
  & Required<Pick<GenerateRequest, "strategy">>;

/** Every strategy, with and without caches where it can have one. */
const SETTINGS: readonly Setting[] = [
  { strategy: "plain", cache: "none" },
  { strategy: "plain", cache: "prefix" },
  { strategy: "plain", cache: "dual" },
  { strategy: "threshold", cache: "none" },
  { strategy: "threshold", cache: "prefix" },
  { strategy: "threshold", cache: "dual" },
  { strategy: "factor", cache: "none" },
  { strategy: "factor", cache: "dual" },
  { strategy: "lossless" },
  { strategy: "lossless", cache: "dual" },
  { strategy: "self" },
  { strategy: "self", cache: "dual" },
  { strategy: "gate" },
  { strategy: "commit_verify" },
  { strategy: "commit_verify", cache: "dual" },
  { strategy: "auto" },
  { strategy: "auto", quality: "fast" },
];

/** Prompts that every setting answers before timing, to compile kernels and let auto measure. */
const WARM_UP = 5;

/** Fixed strategies that each quality of auto may choose, and is compared with. */
const ALLOWED: Readonly<Record<Quality, (setting: Setting) => boolean>> = {
  exact: ({ strategy, cache = NO_CACHE }) => strategyOf(strategy).lossless && cache === NO_CACHE,
  fast: () => true,
};

/** Auto of a quality, and the fixed strategies that it may choose; none unless a run has both. */
export function autoAmong<T extends Setting>(
  quality: Quality,
  settings: readonly T[],
): { readonly auto: T; readonly fixed: readonly T[] } | undefined {
  const free = settings.filter(({ constraint }) => !constraint);
  const auto = free.find((one) => one.strategy === "auto" && (one.quality ?? EXACT) === quality);
  const fixed = free.filter((one) => one.strategy !== "auto" && ALLOWED[quality](one));
  return auto && fixed.length > 0 ? { auto, fixed } : undefined;
}

/** The fastest of some. */
export function fastest<T>(all: readonly T[], speed: (one: T) => number): T {
  return all.reduce((a, b) => speed(b) > speed(a) ? b : a);
}

/** Figures of one setting over all prompts. */
export interface StrategyReport extends Setting {
  readonly name: string;
  /** Number of answers that are exactly right. */
  readonly correct: number;
  readonly totals: EngineTotals;
  /** Number of steps per choice of auto. */
  readonly choices: Readonly<Record<string, number>>;
}

/** Speed of auto, compared with the best fixed strategy that its quality allows. */
export interface AutoComparison {
  readonly quality: Quality;
  readonly best: string;
  /** Tokens per second of auto, divided by those of the best. */
  readonly ratio: number;
}

/** The report that `--json` writes. */
export interface StrategyBench {
  readonly model: string;
  readonly adapter: string;
  readonly warmUpPrompts: number;
  readonly settings: readonly (StrategyReport & {
    readonly tokensPerSecond: number;
    /** Ratio to plain without a cache, if that was measured. */
    readonly toPlain?: number;
  })[];
  readonly auto: readonly AutoComparison[];
}

/** Name of a setting in `--only`, such as `threshold+dual`, `auto+fast` or `plain+schema`. */
export function settingName({ strategy, cache = NO_CACHE, quality, constraint }: Setting): string {
  return [
    strategy,
    ...cache === NO_CACHE ? [] : [cache],
    ...quality ? [quality] : [],
    ...constraint ? ["schema"] : [],
  ].join("+");
}

/**
 * The settings named by `--only`, or all.
 * @param also settings beyond those without a constraint
 * @throws {Error} naming the unknown settings, and all that exist
 */
export function chosenSettings(
  only?: readonly string[],
  also: readonly Setting[] = [],
): readonly Setting[] {
  const all = [...SETTINGS, ...also];
  const unknown = only?.filter((name) => !all.some((one) => settingName(one) === name)) ?? [];
  if (unknown.length > 0) {
    throw new Error(
      `no setting is called ${unknown.join(", ")}; there are ${all.map(settingName).join(", ")}`,
    );
  }
  return all.filter((setting) => only?.includes(settingName(setting)) ?? true);
}

/**
 * Answers every prompt in every setting and prints tables. All settings answer one prompt before
 * the next, so that a slow minute of the machine affects all of them alike.
 * @param items prompts, of which the first `limit` are measured; the warm-up uses later ones if
 * there are
 */
export async function benchStrategies(
  dir: string,
  items: readonly AccuracyItem[],
  options: DeviceChoice & {
    readonly limit?: number;
    readonly only?: readonly string[];
    /** Folder of the draft (default: the embedded one for the embedded target). */
    readonly draft?: string;
    readonly steps?: number;
    readonly tuned?: TunedTiles;
    readonly progress?: ShowProgress;
    /** Told in one line which provider `auto` chose, and why. */
    readonly onProvider?: (line: string) => void;
    /** Whether no table is printed. */
    readonly quiet?: boolean;
  } = {},
): Promise<StrategyBench> {
  const settings = chosenSettings(options.only);
  const measured = items.slice(0, options.limit);
  const warmUp = [...items.slice(measured.length), ...measured].slice(0, WARM_UP);
  const { provider, adapter: wanted, rowForm, tuned, draft, onProvider } = options;
  using engine = await loadEngine(dir, {
    draft,
    provider,
    adapter: wanted,
    rowForm,
    tuned,
    onProvider,
  });
  const adapter = engine.model.gpu.name;
  const { progress = SILENT } = options;
  const report = progress("answering", (prompts) => `${prompts} prompts`, true);
  const total = warmUp.length + measured.length;
  const reports = new Map<Setting, StrategyReport>();
  try {
    for (const [i, item] of [...warmUp, ...measured].entries()) {
      report.update(i, total);
      for (const setting of settings) {
        const answered = await answer(engine, item, setting, options.steps);
        if (i >= warmUp.length) reports.set(setting, add(reports.get(setting), setting, answered));
      }
    }
    report.update(total, total);
  } finally {
    report.stop();
  }
  const figures = settings.map((setting) => reports.get(setting)!);
  const plain = figures.find(({ name }) => name === settingName({ strategy: PLAIN }));
  const bench = {
    model: engine.summary.id,
    adapter,
    warmUpPrompts: warmUp.length,
    settings: figures.map((one) => ({
      ...one,
      tokensPerSecond: speed(one),
      ...plain && { toPlain: speed(one) / speed(plain) },
    })),
    auto: comparisons(figures),
  };
  if (!options.quiet) print(bench);
  return bench;
}

interface Answered {
  readonly correct: boolean;
  readonly usage: Usage;
  readonly stats: GenerateStats;
}

async function answer(
  engine: Engine,
  item: AccuracyItem,
  setting: Setting,
  steps: number | undefined,
): Promise<Answered> {
  const messages = [{ role: "user", content: item.prompt }];
  const { defaultMaxTokens } = engine.summary;
  const request = { messages, maxTokens: defaultMaxTokens, steps, seed: 0, ...setting };
  const events = engine.generate(request);
  for await (const event of events) {
    if (event.type !== "end") continue;
    const { text, usage, stats } = event;
    return { correct: isCorrect(item, text), usage, stats };
  }
  throw new Error("the engine ended without an answer");
}

function add(
  before: StrategyReport | undefined,
  setting: Setting,
  answered: Answered,
): StrategyReport {
  return {
    ...setting,
    name: settingName(setting),
    correct: (before?.correct ?? 0) + (answered.correct ? 1 : 0),
    totals: addAnswer(before?.totals ?? NO_TOTALS, answered),
    choices: sumsByName([before?.choices ?? {}, answered.stats.choices ?? {}]),
  };
}

function speed({ totals }: StrategyReport): number {
  return totals.completionTokens / totals.seconds;
}

/** Compares every quality of auto that was measured with the best fixed strategy. */
export function comparisons(reports: readonly StrategyReport[]): AutoComparison[] {
  return QUALITIES.flatMap((quality) => {
    const found = autoAmong(quality, reports);
    if (!found) return [];
    const best = fastest(found.fixed, speed);
    return [{ quality, best: best.name, ratio: speed(found.auto) / speed(best) }];
  });
}

function print({ adapter, warmUpPrompts, settings, auto }: StrategyBench): void {
  const table = new FittedTable({
    head: [
      "strategy",
      "cache",
      "exact answers",
      "target forwards",
      "draft forwards",
      "tokens per target forward",
      "tokens/s",
      "to plain",
    ],
  });
  for (const report of settings) {
    const { strategy, quality, cache = "", correct, totals, toPlain } = report;
    table.push([
      quality === undefined ? strategy : `${strategy}, ${quality}`,
      cache,
      `${correct} of ${totals.answers}`,
      totals.forwards,
      totals.draftForwards,
      (totals.completionTokens / totals.forwards).toFixed(2),
      report.tokensPerSecond.toFixed(1),
      toPlain === undefined ? "" : `${toPlain.toFixed(2)} x`,
    ]);
  }
  console.log(`${table}`);
  console.log(
    `${adapter}; all settings answer one prompt before the next, after ${warmUpPrompts} prompts ` +
      "of warm-up for every setting",
  );
  for (const { quality = EXACT, choices } of settings.filter((one) => one.strategy === "auto")) {
    const chosen = Object.entries(choices).toSorted(([, a], [, b]) => b - a)
      .map(([choice, steps]) => `${choice} (${steps} steps)`);
    console.log(`auto, ${quality}, chose ${chosen.join("; ")}`);
  }
  for (const { quality, best, ratio } of auto) {
    console.log(
      `auto, ${quality}: ${(100 * ratio).toFixed(0)}% of the best fixed strategy, ${best}`,
    );
  }
}
