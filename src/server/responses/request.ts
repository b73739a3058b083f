/** A request to `/v1/responses` as a chat completion's body. */
import { type Fields, refuse, without } from "../translated/body.ts";
import type { InputItem, ResponsesRequest } from "./schema.ts";

/** Fields of the Responses API that change nothing here. */
export const IGNORED_FIELDS: readonly string[] = [
  ...["truncation", "reasoning", "store", "prompt_cache_retention", "max_tool_calls"],
  ...["parallel_tool_calls", "service_tier", "context_management"],
];

/** Fields that are translated. */
const OWN_FIELDS: readonly string[] = [
  ...["input", "instructions", "max_output_tokens", "include", "text", "tools", "tool_choice"],
  ...["stream", "stream_options", "top_logprobs", "background"],
];

/**
 * The body of the chat completion that answers.
 * @throws {ApiError} 400 for what needs a memory of earlier answers, or an answer later on
 */
export function chatBody(request: ResponsesRequest): Fields {
  for (const name of ["previous_response_id", "conversation", "prompt"] as const) {
    if (request[name] === undefined) continue;
    throw refuse(name, "This server keeps no answers: send the whole conversation as input.");
  }
  if (request.background) {
    throw refuse("background", "Wait for the answer, or stream it.");
  }
  const { input, instructions, max_output_tokens, tools, tool_choice, text, include } = request;
  const asked = request.top_logprobs ?? 0;
  const logprobs = asked > 0 || include?.includes("message.output_text.logprobs");
  return {
    ...without(request, ...OWN_FIELDS, ...IGNORED_FIELDS),
    messages: [
      ...instructions === undefined ? [] : [{ role: "system", content: instructions }],
      ...typeof input === "string" ? [{ role: "user", content: input }] : messagesOf(input),
    ],
    max_tokens: max_output_tokens,
    ...tools?.length && {
      tools: tools.map(({ name, description, parameters, strict }) => ({
        type: "function",
        function: definedOnly({ name, description, parameters, strict }),
      })),
    },
    ...tool_choice !== undefined && tools?.length && {
      tool_choice: typeof tool_choice === "string"
        ? tool_choice
        : { type: "function", function: { name: tool_choice.name } },
    },
    ...text?.format && text.format.type !== "text" && { response_format: formatOf(text.format) },
    ...logprobs && { logprobs: true, top_logprobs: asked },
  };
}

function formatOf({ type, ...rest }: Fields): Fields {
  return type === "json_schema" ? { type, json_schema: rest } : { type };
}

function definedOnly(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  );
}

/** Calls that follow each other are one message, as a chat has them. */
function messagesOf(items: readonly InputItem[]): Fields[] {
  const messages: Fields[] = [];
  let calls: Fields[] | undefined;
  for (const item of items) {
    if (item.type === "function_call") {
      const { name, arguments: written } = item;
      const call = { id: item.call_id, type: "function", function: { name, arguments: written } };
      if (calls) calls.push(call);
      else messages.push({ role: "assistant", content: null, tool_calls: calls = [call] });
      continue;
    }
    calls = undefined;
    if (item.type === "message") {
      messages.push({ role: item.role, content: textOf(item.content) });
    } else if (item.type === "function_call_output") {
      messages.push({ role: "tool", tool_call_id: item.call_id, content: textOf(item.output) });
    }
  }
  return messages;
}

function textOf(
  content: string | readonly { readonly text?: unknown; readonly refusal?: unknown }[],
): string {
  if (typeof content === "string") return content;
  return content.map(({ text, refusal }) => text ?? refusal).join("");
}
