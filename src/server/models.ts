/** `GET /v1/models` and `GET /v1/models/:id`: the one model that is loaded, by each of its names. */
import type { Context } from "hono";
import type { ModelSummary, TextEngine } from "../engine/request.ts";
import type { RequestSettings } from "./chat_request.ts";
import { loadedModel } from "./health.ts";
import { requireName } from "./model_names.ts";

/** OpenAI's model object, with this server's lengths (tokens) beside it. */
export interface ModelObject {
  readonly id: string;
  readonly object: "model";
  /** Unix seconds. */
  readonly created: number;
  readonly owned_by: "unmask";
  /** Longest prompt plus generation. */
  readonly context_length: number;
  /** The same in vLLM's name. */
  readonly max_model_len: number;
  /** The same where llama-server has it. */
  readonly meta: { readonly n_ctx_train: number };
  /** The model's other names, and nothing, where llama-server has them. */
  readonly aliases: readonly string[];
  readonly tags: readonly string[];
  /** Cap of answers to requests without one; the model decides how long they are. */
  readonly default_max_tokens: number;
  /** Block length for requests without one. */
  readonly default_block_length: number;
}

function modelObject(
  model: ModelSummary,
  id: string,
  { maxTokens, aliases = [] }: RequestSettings,
): ModelObject {
  return {
    id,
    object: "model",
    created: model.created,
    owned_by: "unmask",
    context_length: model.contextLength,
    max_model_len: model.contextLength,
    meta: { n_ctx_train: model.contextLength },
    aliases,
    tags: [],
    default_max_tokens: Math.min(maxTokens ?? model.contextLength, model.contextLength),
    default_block_length: model.defaultBlockLength,
  };
}

/** Lists the loaded model, under its own name and its aliases. */
export function listModels(
  engine: TextEngine,
  settings: RequestSettings,
): (c: Context) => Response {
  return (c) => {
    const model = loadedModel(engine);
    const ids = new Set([model.id, ...settings.aliases ?? []]);
    return c.json({ object: "list", data: [...ids].map((id) => modelObject(model, id, settings)) });
  };
}

/** Returns the loaded model by one of its names; 404 `model_not_found` for another. */
export function retrieveModel(
  engine: TextEngine,
  settings: RequestSettings,
): (c: Context) => Response {
  return (c) => {
    const model = loadedModel(engine);
    const id = c.req.param("id") ?? "";
    requireName(model, id, settings);
    return c.json(modelObject(model, id, settings));
  };
}
