/** Ollama's `GET /api/tags`, `/api/ps`, `/api/version` and `POST /api/show`: the loaded model. */
import type { Context } from "hono";
import type { ModelSummary, TextEngine } from "../../engine/request.ts";
import { VERSION } from "../../engine/version.ts";
import { loadedModel } from "../health.ts";
import type { BodyLimits } from "../json_body.ts";
import { readBody } from "../translated/body.ts";
import { requireNamed } from "./request.ts";
import { showSchema } from "./schema.ts";

/** The version of ollama's API that clients are told: some refuse to talk to one below this. */
const API_VERSION = "0.6.4";

function detailsOf({ folder }: ModelSummary) {
  return {
    parent_model: "",
    format: "safetensors",
    family: "llada",
    families: ["llada"],
    parameter_size: folder ? roundCount(folder.parameters) : "",
    quantization_level: folder?.weights.toUpperCase() ?? "",
  };
}

/** A count as ollama writes it: `8.0B`, `1.6M`. */
function roundCount(count: number): string {
  const [size, letter] = count >= 1e9 ? [1e9, "B"] : count >= 1e6 ? [1e6, "M"] : [1e3, "K"];
  return `${(count / (size as number)).toFixed(1)}${letter}`;
}

/** Makes the handler of `/api/tags`. */
export function tags(engine: TextEngine): (c: Context) => Response {
  return (c) => c.json({ models: [entry(loadedModel(engine))] });
}

/** Makes the handler of `/api/ps`; a model that is loaded stays. */
export function running(engine: TextEngine): (c: Context) => Response {
  return (c) => {
    const model = loadedModel(engine);
    const { modified_at: _, ...rest } = entry(model);
    // All of a model is on the GPU; what it takes there beside its weights is not in this.
    const stays = { expires_at: "9999-12-31T23:59:59Z", size_vram: rest.size };
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
    const { model: named, name } = await readBody(c, showSchema, options.body, { anyType: true });
    requireNamed(named ?? name);
    return c.json({
      modelfile: `FROM ${model.id}\nPARAMETER num_ctx ${model.contextLength}\n`,
      parameters: `num_ctx ${model.contextLength}`,
      template: model.folder?.chatTemplate ?? "",
      details: detailsOf(model),
      model_info: {
        "general.architecture": "llada",
        "general.basename": model.id,
        "general.parameter_count": model.folder?.parameters,
        "llada.context_length": model.contextLength,
      },
      capabilities: ["completion", "tools", "insert"],
      modified_at: entry(model).modified_at,
    });
  };
}

/** The digest is that of the folder's facts: of configuration and sizes, not of the weights. */
function entry(model: ModelSummary) {
  const name = `${model.id}:latest`;
  return {
    name,
    model: name,
    modified_at: new Date(model.created * 1000).toISOString(),
    size: model.folder?.bytes ?? 0,
    digest: model.folder?.digest ?? "",
    details: detailsOf(model),
  };
}
