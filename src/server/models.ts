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
  /** Answer length for requests without one. */
  readonly default_max_tokens: number;
  /** Block length for requests without one. */
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

/** Lists the loaded model. */
export function listModels(engine: TextEngine): (c: Context) => Response {
  return (c) => c.json({ object: "list", data: [modelObject(loadedModel(engine))] });
}

/** Returns the loaded model by its id; 404 `model_not_found` for another id. */
export function retrieveModel(engine: TextEngine): (c: Context) => Response {
  return (c) => {
    const model = loadedModel(engine);
    requireModel(model, c.req.param("id") ?? "");
    return c.json(modelObject(model));
  };
}

/**
 * Checks that an id is the loaded model's.
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
