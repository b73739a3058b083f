/** Anthropic's messages, whole and as events, made of a chat completion. */
import {
  type AnswerChunk,
  type AnswerUsage,
  NO_USAGE,
  type ToolCall,
  type WholeAnswer,
} from "../translated/chat_answer.ts";
import { newId } from "../translated/body.ts";
import { sentEvent } from "../translated/translation.ts";

/** Why a message ended, in Anthropic's words. */
export function stopReason(finishReason: string | null, stopText?: string | null): string {
  if (typeof stopText === "string") return "stop_sequence";
  if (finishReason === "tool_calls") return "tool_use";
  return finishReason === "length" ? "max_tokens" : "end_turn";
}

function usageOf({ prompt_tokens, completion_tokens }: AnswerUsage) {
  return {
    input_tokens: prompt_tokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: completion_tokens,
  };
}

/** The answer to a request without `stream`. */
export function wholeMessage({ choices, model, usage }: WholeAnswer) {
  const { message, finish_reason, stop_reason } = choices[0];
  const calls = message.tool_calls ?? [];
  return {
    id: newId("msg_"),
    type: "message",
    role: "assistant",
    model,
    content: [
      ...message.content || calls.length === 0
        ? [{ type: "text", text: message.content ?? "" }]
        : [],
      ...calls.map((call) => ({ ...toolUse(call), input: argumentsOf(call) })),
    ],
    stop_reason: stopReason(finish_reason, stop_reason),
    stop_sequence: stop_reason ?? null,
    usage: usageOf(usage),
  };
}

function toolUse({ id, function: called }: ToolCall) {
  return { type: "tool_use", id: id ?? newId("toolu_"), name: called?.name ?? "", input: {} };
}

function argumentsOf(call: ToolCall): unknown {
  return JSON.parse(call.function?.arguments || "{}");
}

/**
 * The events of a streamed message.
 * @param promptTokens what the message's start says of its prompt; its end has the exact number
 */
export async function* messageEvents(
  chunks: AsyncIterable<AnswerChunk>,
  promptTokens: number,
): AsyncGenerator<string, void, void> {
  let begun = false;
  let usage = NO_USAGE;
  let end: string | null = null;
  let stopText: string | null = null;
  /** The block that is being written: `text`, or the index of a call. */
  let open: "text" | number | undefined;
  let index = -1;
  const send = (type: string, fields: object = {}) => sentEvent({ type, ...fields }, type);
  const start = (what: "text" | number, content_block: object): string => {
    const stop = open === undefined ? "" : send("content_block_stop", { index });
    open = what;
    index++;
    return stop + send("content_block_start", { index, content_block });
  };
  for await (const { choices, model, usage: counted } of chunks) {
    if (!begun) {
      begun = true;
      const usage = usageOf({ ...NO_USAGE, prompt_tokens: promptTokens });
      const message = { id: newId("msg_"), type: "message", role: "assistant", model, content: [] };
      yield send("message_start", {
        message: { ...message, stop_reason: null, stop_sequence: null, usage },
      });
    }
    usage = counted ?? usage;
    for (const { delta, finish_reason, stop_reason } of choices) {
      end = finish_reason ?? end;
      stopText = stop_reason ?? stopText;
      if (delta.content) {
        if (open !== "text") yield start("text", { type: "text", text: "" });
        const piece = { type: "text_delta", text: delta.content };
        yield send("content_block_delta", { index, delta: piece });
      }
      for (const call of delta.tool_calls ?? []) {
        const which = call.index ?? 0;
        if (open !== which) yield start(which, toolUse(call));
        const partial_json = call.function?.arguments;
        if (!partial_json) continue;
        const piece = { type: "input_json_delta", partial_json };
        yield send("content_block_delta", { index, delta: piece });
      }
    }
  }
  // An answer without text has a block all the same.
  if (open === undefined) yield start("text", { type: "text", text: "" });
  yield send("content_block_stop", { index });
  const delta = { stop_reason: stopReason(end, stopText), stop_sequence: stopText };
  yield send("message_delta", { delta, usage: usageOf(usage) });
  yield send("message_stop");
}
