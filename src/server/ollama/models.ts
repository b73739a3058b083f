/** Ollama's `GET /api/tags`, `/api/ps`, `/api/version` and `POST /api/show`: the loaded model. */
import { createHash } from "node:crypto";
import type { Context } from "hono";
import type { ModelSummary, TextEngine } from "../../engine/request.ts";
import { VERSION } from "../../engine/version.ts";
import { loadedModel } from "../health.ts";
import type { BodyLimits } from "../json_body.ts";
import { readBody } from "../translated/body.ts";
import { showSchema } from "./schema.ts";

/** The version of ollama's API that clients are told: some refuse to talk to one below this. */
const API_VERSION = "0.6.4";

const details = {
  parent_model: "",
  format: "safetensors",
  family: "llada",
  families: ["llada"],
  parameter_size: "",
  quantization_level: "",
};

/** Makes the handler of `/api/tags`. */
export function tags(engine: TextEngine): (c: Context) => Response {
  return (c) => c.json({ models: [entry(loadedModel(engine))] });
}

/** Makes the handler of `/api/ps`; a model that is loaded stays. */
export function running(engine: TextEngine): (c: Context) => Response {
  return (c) => {
    const model = loadedModel(engine);
    const { modified_at: _, ...rest } = entry(model);
    const stays = { expires_at: "9999-12-31T23:59:59Z", size_vram: 0 };
    return c.json({ models: [{ ...rest, ...stays, context_length: model.contextLength }] });
  };
}

/** Handler of `/api/version`. */
export function version(c: Context): Response {
  return c.json({ version: API_VERSION, unmask: VERSION });
}

/** Makes the handler of `/api/show`. */
export function show(
  engine: TextEngine,
  options: { readonly body: BodyLimits },
): (c: Context) => Promise<Response> {
  return async (c) => {
    const model = loadedModel(engine);
    await readBody(c, showSchema, options.body, { anyType: true });
    return c.json({
      modelfile: "",
      parameters: "",
      template: "",
      details,
      model_info: {
        "general.architecture": "llada",
        "general.basename": model.id,
        "llada.context_length": model.contextLength,
      },
      capabilities: ["completion", "tools", "insert"],
      modified_at: entry(model).modified_at,
    });
  };
}

/** Sizes are not known here, and 0. */
function entry(model: ModelSummary) {
  const name = `${model.id}:latest`;
  return {
    name,
    model: name,
    modified_at: new Date(model.created * 1000).toISOString(),
    size: 0,
    digest: createHash("sha256").update(JSON.stringify(model)).digest("hex"),
    details,
  };
}
