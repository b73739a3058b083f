/** The response object of `/v1/responses`, made of a chat completion. */
import type {
  AnswerUsage,
  ChoiceLogprobs,
  ToolCall,
  WholeAnswer,
} from "../translated/chat_answer.ts";
import { newId } from "../translated/body.ts";
import type { ResponsesRequest } from "./schema.ts";

/** A part of a message. */
export interface OutputText {
  readonly type: "output_text";
  readonly text: string;
  readonly annotations: readonly [];
  readonly logprobs: readonly unknown[];
}

/** An item of the output. */
export type OutputItem =
  | {
    readonly type: "message";
    readonly id: string;
    readonly role: "assistant";
    readonly status: "in_progress" | "completed" | "incomplete";
    readonly content: readonly OutputText[];
  }
  | {
    readonly type: "function_call";
    readonly id: string;
    readonly call_id: string;
    readonly name: string;
    readonly arguments: string;
    readonly status: "in_progress" | "completed" | "incomplete";
  };

/** What is the same in all forms of one response. */
export interface ResponseHead {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
}

/** Where a response stands. */
export interface ResponseState {
  readonly status: "in_progress" | "completed" | "incomplete" | "failed";
  readonly output: readonly OutputItem[];
  readonly usage?: AnswerUsage;
  readonly error?: { readonly code: string; readonly message: string };
}

/** The whole response object. */
export function responseObject(
  request: ResponsesRequest,
  head: ResponseHead,
  { status, output, usage, error }: ResponseState,
) {
  return {
    id: head.id,
    object: "response",
    created_at: head.created,
    status,
    background: false,
    error: error ?? null,
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    model: head.model,
    output,
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: request.temperature ?? null,
    text: request.text ?? { format: { type: "text" } },
    tool_choice: request.tool_choice ?? "auto",
    tools: request.tools ?? [],
    top_logprobs: request.top_logprobs ?? 0,
    top_p: request.top_p ?? null,
    truncation: "disabled",
    usage: usage === undefined ? null : usageObject(usage),
    user: null,
    metadata: request.metadata ?? {},
  };
}

function usageObject({ prompt_tokens, completion_tokens, total_tokens }: AnswerUsage) {
  return {
    input_tokens: prompt_tokens,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens,
  };
}

/** A message with one text. */
export function messageItem(
  id: string,
  status: OutputItem["status"],
  content: readonly OutputText[],
): OutputItem {
  return { type: "message", id, role: "assistant", status, content };
}

/** The part of a message. */
export function outputText(text: string, logprobs?: ChoiceLogprobs | null): OutputText {
  return { type: "output_text", text, annotations: [], logprobs: logprobs?.content ?? [] };
}

/** A whole call. */
export function callItem(id: string, call: ToolCall): OutputItem {
  return {
    type: "function_call",
    id,
    call_id: call.id ?? newId("call_"),
    name: call.function?.name ?? "",
    arguments: call.function?.arguments ?? "",
    status: "completed",
  };
}

/** Where a response stands that ended for a reason. */
export function statusOf(finishReason: string | null): "completed" | "incomplete" {
  return finishReason === "length" ? "incomplete" : "completed";
}

/** The response to a request without `stream`. */
export function wholeResponse(request: ResponsesRequest, answer: WholeAnswer) {
  const { message, logprobs, finish_reason } = answer.choices[0];
  const status = statusOf(finish_reason);
  const calls = message.tool_calls ?? [];
  const output = calls.map((call) => callItem(newId("fc_"), call));
  if (message.content || calls.length === 0) {
    const text = outputText(message.content ?? "", logprobs);
    output.unshift(messageItem(newId("msg_"), status, [text]));
  }
  const head = { id: newId("resp_"), created: answer.created, model: answer.model };
  return responseObject(request, head, { status, output, usage: answer.usage });
}
