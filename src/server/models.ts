/** `GET /v1/models` and `GET /v1/models/:id`: the one model that is loaded. */
import type { Context } from "hono";
import type { ModelSummary, TextEngine } from "../engine/request.ts";
import { ApiError } from "./errors.ts";
import { loadedModel } from "./health.ts";

/** OpenAI's model object, with this server's lengths (tokens) beside it. */
export interface ModelObject {
  readonly id: string;
  readonly object: "model";
  /** Unix seconds. */
  readonly created: number;
  readonly owned_by: "unmask";
  /** Longest prompt plus generation. */
  readonly context_length: number;
  /** Answer length when a request names none. */
  readonly default_max_tokens: number;
  /** Block length when a request names none. */
  readonly default_block_length: number;
}

function modelObject(model: ModelSummary): ModelObject {
  return {
    id: model.id,
    object: "model",
    created: model.created,
    owned_by: "unmask",
    context_length: model.contextLength,
    default_max_tokens: model.defaultMaxTokens,
    default_block_length: model.defaultBlockLength,
  };
}

/** A list of one. */
export function listModels(engine: TextEngine): (c: Context) => Response {
  return (c) => c.json({ object: "list", data: [modelObject(loadedModel(engine))] });
}

/** The loaded model by its id, else 404 `model_not_found`. */
export function retrieveModel(engine: TextEngine): (c: Context) => Response {
  return (c) => {
    const model = loadedModel(engine);
    requireModel(model, c.req.param("id") ?? "");
    return c.json(modelObject(model));
  };
}

/**
 * Refuses every id but the loaded model's.
 * @throws {ApiError} 404 `model_not_found`, as OpenAI answers
 */
export function requireModel(model: ModelSummary, id: string): void {
  if (id === model.id) return;
  const shown = id.length > 64 ? `${id.slice(0, 64)}…` : id;
  throw new ApiError(
    404,
    "model_not_found",
    `The model '${shown}' does not exist; this server has '${model.id}'.`,
    { param: "model" },
  );
}
