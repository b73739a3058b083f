/** `unmask bench strategies`: what each way to denoise costs and how well it answers. */

import Table from "cli-table3";
import type { Engine } from "../engine/engine.ts";
import { loadEngine } from "../engine/load.ts";
import type { GenerateRequest, GenerateStats } from "../engine/request.ts";
import { type AccuracyItem, isCorrect } from "../evaluate/accuracy.ts";

/** One way to denoise. */
type Setting = Pick<
  GenerateRequest,
  "strategy" | "quality" | "cache" | "threshold" | "factor" | "draftDepth"
>;

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
  { strategy: "commit_verify", cache: "none" },
  { strategy: "commit_verify", cache: "dual" },
  { strategy: "auto" },
  { strategy: "auto", quality: "fast" },
];

/** Figures of one setting over all prompts. */
export interface StrategyReport extends Setting {
  readonly prompts: number;
  readonly correct: number;
  readonly targetForwards: number;
  readonly draftForwards: number;
  readonly tokens: number;
  readonly seconds: number;
}

/** Answers every prompt in every setting, prompt by prompt side by side, so that a slow minute of the
 * machine falls on all of them; prints a table. */
export async function benchStrategies(
  dir: string,
  items: readonly AccuracyItem[],
): Promise<StrategyReport[]> {
  using engine = await loadEngine(dir);
  // Compiles what each setting needs.
  for (const setting of SETTINGS) await answer(engine, items[0], setting);
  const reports = SETTINGS.map((setting): StrategyReport => ({
    ...setting,
    prompts: 0,
    correct: 0,
    targetForwards: 0,
    draftForwards: 0,
    tokens: 0,
    seconds: 0,
  }));
  for (const [done, item] of items.entries()) {
    console.error(`prompt ${done + 1} of ${items.length}`);
    for (const [i, setting] of SETTINGS.entries()) {
      const { correct, tokens, stats } = await answer(engine, item, setting);
      const before = reports[i];
      reports[i] = {
        ...before,
        prompts: before.prompts + 1,
        correct: before.correct + (correct ? 1 : 0),
        targetForwards: before.targetForwards + stats.forwards,
        draftForwards: before.draftForwards + stats.draftForwards,
        tokens: before.tokens + tokens,
        seconds: before.seconds + stats.seconds,
      };
    }
  }
  print(reports);
  return reports;
}

async function answer(
  engine: Engine,
  item: AccuracyItem,
  setting: Setting,
): Promise<{ correct: boolean; tokens: number; stats: GenerateStats }> {
  const messages = [{ role: "user", content: item.prompt }];
  const { defaultMaxTokens } = engine.summary;
  const events = engine.generate({ messages, maxTokens: defaultMaxTokens, seed: 0, ...setting });
  for await (const event of events) {
    if (event.type !== "end") continue;
    const { text, usage, stats } = event;
    return { correct: isCorrect(item, text), tokens: usage.completionTokens, stats };
  }
  throw new Error("the engine ended without an answer");
}

function print(reports: readonly StrategyReport[]): void {
  const table = new Table({
    head: [
      "strategy",
      "cache",
      "exact answers",
      "target forwards",
      "draft forwards",
      "tokens per target forward",
      "tokens/s",
    ],
    style: { head: [], border: [] },
  });
  for (const report of reports) {
    const { strategy, quality, cache = "", correct, prompts, tokens, seconds } = report;
    table.push([
      quality === undefined ? strategy : `${strategy}, ${quality}`,
      cache,
      `${correct} of ${prompts}`,
      report.targetForwards,
      report.draftForwards,
      (tokens / report.targetForwards).toFixed(2),
      (tokens / seconds).toFixed(1),
    ]);
  }
  console.log(`${table}`);
}
