/** `GET /v1/stats`: totals since the engine was loaded. They contain no text of any request. */
import type { Context } from "hono";
import type { TextEngine } from "../engine/request.ts";
import { loadedModel } from "./health.ts";
import { type LoadObject, loadObject } from "./load_object.ts";
import { type DiffusionCounts, diffusionCounts } from "./openai.ts";

/** The response of `GET /v1/stats`. */
export interface StatsObject extends DiffusionCounts {
  readonly object: "stats";
  readonly model: string;
  /** Answers that were completed. */
  readonly answers: number;
  /** Answers that were cancelled or failed; the other figures do not include them. */
  readonly unfinished: number;
  /** Answers by strategy. */
  readonly strategies: Readonly<Record<string, number>>;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  /** `completion_tokens / seconds`; the seconds of answers that ran at once are added up. */
  readonly tokens_per_second: number;
  /** Requests now, and how they shared passes. */
  readonly load: LoadObject;
}

/**
 * Makes the route's handler.
 * @param underWay number of requests that are answered or wait
 */
export function stats(engine: TextEngine, underWay: () => number): (c: Context) => Response {
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
      load: loadObject(engine, underWay()),
      ...diffusionCounts(totals, totals.completionTokens),
    };
    return c.json(object);
  };
}
