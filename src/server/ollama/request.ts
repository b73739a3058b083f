/** Requests to ollama's API as chat completions' bodies. */
import { ApiError } from "../errors.ts";
import { type Fields, present, without } from "../translated/body.ts";
import type { OllamaChat, OllamaGenerate, SharedRequest } from "./schema.ts";

/** Fields of ollama's API that change nothing here. */
const IGNORED_FIELDS: readonly string[] = ["keep_alive", "think", "truncate", "shift"];

/** Fields that are translated. */
const OWN_FIELDS: readonly string[] = [
  ...["model", "messages", "prompt", "system", "template", "raw", "images", "suffix"],
  "context",
  ...["stream", "format", "options", "tools"],
];

/** Names of options in a chat completion, where they differ. */
const OPTION_NAMES: Readonly<Record<string, string>> = { repeat_penalty: "repetition_penalty" };

/** Options that have a meaning here; the others are about ollama's own runtime. */
const OPTIONS: readonly string[] = [
  ...["temperature", "top_p", "top_k", "min_p", "seed", "stop", "repeat_penalty"],
  ...["presence_penalty", "frequency_penalty"],
];

/** A model's name without the tag that ollama adds to names that have none. */
export function withoutTag(model: string | undefined): string | undefined {
  return model?.replace(/:latest$/, "");
}

/**
 * Refuses a request without a model, as ollama does: its clients look for this sentence.
 * @throws {ApiError} 400
 */
export function requireNamed(model: string | undefined): void {
  if (model) return;
  throw new ApiError(400, "missing_required_parameter", "model is required", { param: "model" });
}

/** The fields and options of a request that change nothing here. */
export function ignoredFields(request: SharedRequest): readonly string[] {
  const known = [...OPTIONS, "num_predict"];
  return [
    ...present(request, IGNORED_FIELDS),
    ...Object.keys(request.options ?? {}).filter((name) => !known.includes(name))
      .map((name) => `options.${name}`),
  ];
}

function sharedFields(request: SharedRequest): Fields {
  const { format, options = {}, model } = request;
  const limit = options.num_predict;
  return {
    ...without(request, ...OWN_FIELDS, ...IGNORED_FIELDS),
    model: withoutTag(model),
    ...Object.fromEntries(
      Object.entries(options)
        .filter(([name, value]) => OPTIONS.includes(name) && value !== null)
        .map(([name, value]) => [OPTION_NAMES[name] ?? name, value]),
    ),
    // Both of ollama's values for no limit are below 0; 0 is none either.
    ...typeof limit === "number" && { max_tokens: limit <= 0 ? -1 : limit },
    ...format && { response_format: formatOf(format) },
  };
}

function formatOf(format: "json" | Fields): Fields {
  return format === "json"
    ? { type: "json_object" }
    : { type: "json_schema", json_schema: { name: "format", schema: format } };
}

/** The body of the chat completion that answers `/api/chat`. */
export function chatBody(request: OllamaChat): Fields {
  return {
    ...sharedFields(request),
    messages: chatMessages(request.messages ?? []),
    ...request.tools?.length && { tools: request.tools },
  };
}

/** The body of the chat completion that answers `/api/generate`; a raw prompt is the message. */
export function generateBody(request: OllamaGenerate): Fields {
  const { system, prompt = "", raw } = request;
  const rules = system && !raw ? [{ role: "system", content: system }] : [];
  return { ...sharedFields(request), messages: [...rules, { role: "user", content: prompt }] };
}

/** Calls get ids, and results the id of the last call of their tool: ollama's have none. */
function chatMessages(messages: NonNullable<OllamaChat["messages"]>): Fields[] {
  const idByName = new Map<string, string>();
  let count = 0;
  let last = "";
  return messages.map(({ role, content, tool_calls, tool_name }) => {
    if (role === "tool") {
      return { role, tool_call_id: idByName.get(tool_name ?? "") ?? last, content: content ?? "" };
    }
    if (!tool_calls?.length) return { role, content: content ?? "" };
    const calls = tool_calls.map(({ id, function: { name, arguments: given } }) => {
      last = id ?? `call_${count++}`;
      idByName.set(name, last);
      const written = JSON.stringify(given ?? {});
      return { id: last, type: "function", function: { name, arguments: written } };
    });
    return { role, content: content || null, tool_calls: calls };
  });
}
