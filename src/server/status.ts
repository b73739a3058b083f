/** `GET /v1/status`: how the server is now, for the page. It contains no text of any request. */
import type { Context } from "hono";
import type { TextEngine } from "../engine/request.ts";
import { reasonOf } from "./health.ts";
import { type LoadObject, loadObject } from "./load_object.ts";

/** The response of `GET /v1/status`. */
export interface StatusObject {
  readonly object: "status";
  readonly state: TextEngine["state"];
  /** Why it does not answer. */
  readonly reason?: string;
  /** The model's name; null until it is loaded. */
  readonly model: string | null;
  readonly draft?: string;
  /** What a user should know before using this model. */
  readonly warning?: string;
  /** Longest prompt plus answer, in tokens. */
  readonly context_length?: number;
  readonly default_block_length?: number;
  /** Name of the adapter; null until the model is loaded. */
  readonly device: string | null;
  /** Bytes of the GPU that model and answers take at most, and that they may take; null: not known. */
  readonly memory: { readonly planned: number | null; readonly total: number | null };
  /** Requests now, and how they shared passes so far. */
  readonly load: LoadObject;
  readonly answers: number;
  /** Of all answers so far: their tokens by their seconds, so of one answer among others. */
  readonly tokens_per_second: number;
}

/**
 * Makes the route's handler.
 * @param underWay number of requests that are answered or wait
 */
export function status(engine: TextEngine, underWay: () => number): (c: Context) => Response {
  return (c) => {
    const { state, model, device, totals } = engine;
    const object: StatusObject = {
      object: "status",
      state,
      reason: state === "ready" ? undefined : reasonOf(engine),
      model: model?.id ?? null,
      draft: model?.draft,
      warning: model?.warning,
      context_length: model?.contextLength,
      default_block_length: model?.defaultBlockLength,
      device: device?.adapter ?? null,
      memory: { planned: device?.plannedBytes ?? null, total: device?.memoryBytes ?? null },
      load: loadObject(engine, underWay()),
      answers: totals.answers,
      tokens_per_second: totals.seconds === 0 ? 0 : totals.completionTokens / totals.seconds,
    };
    return c.json(object);
  };
}
