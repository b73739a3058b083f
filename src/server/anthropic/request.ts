/** A request to `/v1/messages` as a chat completion's body. */
import { type Fields, without } from "../translated/body.ts";
import type { Content, MessagesRequest, Prompt } from "./schema.ts";

/** Fields of Anthropic's API that change nothing here. */
export const IGNORED_FIELDS: readonly string[] = [
  ...["metadata", "thinking", "service_tier", "container", "context_management", "mcp_servers"],
  ...["betas", "cache_control", "inference_geo", "output_config"],
];

/** Fields that are translated. */
const OWN_FIELDS: readonly string[] = [
  ...["messages", "system", "tools", "tool_choice", "stop_sequences", "stream"],
];

/** The body of the chat completion that answers. */
export function chatBody(request: MessagesRequest): Fields {
  const { stop_sequences } = request;
  return {
    ...without(request, ...OWN_FIELDS, ...IGNORED_FIELDS),
    ...promptFields(request),
    ...stop_sequences?.length && { stop: stop_sequences },
  };
}

/** The messages and tools of a request. */
export function promptFields({ messages, system, tools, tool_choice }: Prompt): Fields {
  const rules = system === undefined ? [] : [{ role: "system", content: textOf(system) }];
  return {
    messages: [...rules, ...messages.flatMap(({ role, content }) => chatMessages(role, content))],
    ...tools?.length && {
      tools: tools.map(({ name, description, input_schema }) => ({
        type: "function",
        function: { name, ...description && { description }, parameters: input_schema },
      })),
      ...tool_choice && { tool_choice: choiceOf(tool_choice) },
    },
  };
}

function choiceOf({ type, name }: { readonly type: string; readonly name?: string }): unknown {
  if (type === "any") return "required";
  return type === "tool" ? { type: "function", function: { name } } : type;
}

/** Results of tools are messages of their own in a chat, before the text beside them. */
function chatMessages(role: string, content: Content): Fields[] {
  if (typeof content === "string") return [{ role, content }];
  const results: Fields[] = [];
  const calls: Fields[] = [];
  const texts: string[] = [];
  for (const block of content) {
    if (block.type === "text") {
      texts.push(block.text);
    } else if (block.type === "tool_use") {
      const { id, name, input } = block;
      calls.push({ id, type: "function", function: { name, arguments: JSON.stringify(input) } });
    } else if (block.type === "tool_result") {
      const { tool_use_id, content = "" } = block;
      results.push({ role: "tool", tool_call_id: tool_use_id, content: textOf(content) });
    }
  }
  if (calls.length > 0) {
    const said = texts.length > 0 ? texts.join("") : null;
    return [...results, { role, content: said, tool_calls: calls }];
  }
  const said = texts.length > 0 || results.length === 0;
  return [...results, ...said ? [{ role, content: texts.join("") }] : []];
}

function textOf(content: string | readonly { readonly text: string }[]): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("");
}
