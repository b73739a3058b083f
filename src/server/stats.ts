/** `GET /v1/stats`: what the engine has done since it was loaded. No text of anyone is in it. */
import type { Context } from "hono";
import type { TextEngine } from "../engine/request.ts";
import { loadedModel } from "./health.ts";
import { type DiffusionCounts, diffusionCounts } from "./openai.ts";

/** The answer. */
export interface StatsObject extends DiffusionCounts {
  readonly object: "stats";
  readonly model: string;
  /** Answers that came to their end. */
  readonly answers: number;
  /** Answers that were cancelled or failed; what they cost is not in the other figures. */
  readonly unfinished: number;
  /** Answers by strategy. */
  readonly strategies: Readonly<Record<string, number>>;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  /** `completion_tokens / seconds`. */
  readonly tokens_per_second: number;
}

/** Totals over all answers. */
export function stats(engine: TextEngine): (c: Context) => Response {
  return (c) => {
    const { id } = loadedModel(engine);
    const { totals } = engine;
    const object: StatsObject = {
      object: "stats",
      model: id,
      answers: totals.answers,
      unfinished: totals.unfinished,
      strategies: totals.strategies,
      prompt_tokens: totals.promptTokens,
      completion_tokens: totals.completionTokens,
      tokens_per_second: totals.seconds === 0 ? 0 : totals.completionTokens / totals.seconds,
      ...diffusionCounts(totals, totals.completionTokens),
    };
    return c.json(object);
  };
}
