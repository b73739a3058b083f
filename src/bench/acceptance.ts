/** Tokens that a forward pass commits: measured on a model that was trained, since random weights accept nothing. */

import { QUALITIES, type Quality } from "../denoise/strategy.ts";
import type { Engine } from "../engine/engine.ts";
import { type EngineOptions, loadEngine } from "../engine/load.ts";
import type { GenerateRequest } from "../engine/request.ts";
import type { AccuracyItem } from "../evaluate/accuracy.ts";
import type { ShowProgress } from "./progress.ts";

/** Tokens that a forward pass commits on average, and where the figure comes from. */
export interface Acceptance {
  readonly tokensPerForward: number;
  readonly source: string;
}

/** What strategy `auto` did on the measured model. */
export interface AutoRun {
  readonly quality: Quality;
  readonly tokensPerForward: number;
  readonly tokensPerSecond: number;
  /** The choice that took most steps, such as `factor 1, cache dual`. */
  readonly chose: string;
  /** Steps by choice. */
  readonly choices: Readonly<Record<string, number>>;
}

/** The measured acceptance, and what auto did on the same prompts. */
export interface MeasuredAcceptance {
  readonly acceptance: Acceptance;
  readonly auto: readonly AutoRun[];
}

/** The strategy whose acceptance is measured: it needs no draft, and keeps keys. */
const MEASURED = { strategy: "threshold", cache: "dual" } as const;

type Setting = Pick<GenerateRequest, "strategy" | "cache" | "quality">;

/** What the answers in one setting came to. */
interface Tally {
  tokens: number;
  forwards: number;
  seconds: number;
  choices: Record<string, number>;
}

/**
 * Answers prompts with strategy threshold and with auto in each quality, until a time.
 * @param until time by `performance.now()` from which no prompt is begun, once one was answered
 */
export async function measureAcceptance(
  place: string,
  prompts: readonly AccuracyItem[],
  { until, progress, ...options }: EngineOptions & {
    readonly until: number;
    readonly progress: ShowProgress;
  },
): Promise<MeasuredAcceptance> {
  using engine = await loadEngine(place, options);
  const settings: readonly Setting[] = [
    MEASURED,
    ...QUALITIES.map((quality) => ({ strategy: "auto", quality } as const)),
  ];
  const tallies = settings.map((): Tally => ({ tokens: 0, forwards: 0, seconds: 0, choices: {} }));
  const report = progress("measuring acceptance", (count) => `${count} prompts`, true);
  let answered = 0;
  try {
    for (const { prompt } of prompts) {
      if (answered > 0 && performance.now() >= until) break;
      report.update(answered, prompts.length);
      for (const [i, setting] of settings.entries()) {
        await answer(engine, prompt, setting, tallies[i]);
      }
      answered++;
    }
    report.update(prompts.length, prompts.length);
  } finally {
    report.stop();
  }
  const [measured, ...autos] = tallies;
  const { strategy, cache } = MEASURED;
  return {
    acceptance: {
      tokensPerForward: measured.tokens / measured.forwards,
      source:
        `measured here: ${engine.summary.id}, ${answered} prompt${answered === 1 ? "" : "s"}, ` +
        `strategy ${strategy}, ` +
        `cache ${cache}`,
    },
    auto: QUALITIES.map((quality, i) => {
      const { tokens, forwards, seconds, choices } = autos[i];
      const [[chose]] = Object.entries(choices)
        .toSorted(([, a], [, b]) => b - a);
      return {
        quality,
        tokensPerForward: tokens / forwards,
        tokensPerSecond: tokens / seconds,
        chose,
        choices,
      };
    }),
  };
}

async function answer(
  engine: Engine,
  content: string,
  setting: Setting,
  tally: Tally,
): Promise<void> {
  const messages = [{ role: "user", content }];
  const maxTokens = engine.summary.defaultMaxTokens;
  for await (const event of engine.generate({ messages, maxTokens, seed: 0, ...setting })) {
    if (event.type !== "end") continue;
    const { usage, stats } = event;
    tally.tokens += usage.completionTokens;
    tally.forwards += stats.forwards;
    tally.seconds += stats.seconds;
    for (const [choice, steps] of Object.entries(stats.choices ?? {})) {
      tally.choices[choice] = (tally.choices[choice] ?? 0) + steps;
    }
  }
}
