/** A generation's events as the messages of a streamed chat completion. */
import type { AnswerToken, GenerateEvent } from "../engine/request.ts";
import {
  commitPrefixEvent,
  type DenoiseEvent,
  remaskEvent,
  startEvent,
  unmaskEvent,
} from "./denoise_events.ts";
import type { StreamMessage } from "./event_stream.ts";
import {
  type ChatCompletionChunk,
  type CompletionHead,
  completionUsage,
  type EndEvent,
} from "./openai.ts";
import { chatLogprobs } from "./logprobs.ts";

/** What a stream carries besides the text. */
export interface ChatStreamOptions {
  /** Whether to add a last chunk with the token counts, and `usage: null` to the others. */
  readonly includeUsage: boolean;
  /** Whether to add typed events of every step (denoise_events.ts). */
  readonly streamEvents: boolean;
}

/**
 * Turns events into messages: a chunk with the role, a chunk per piece of text, a chunk with the
 * finish reason, one with the token counts if asked for, and `[DONE]`. The pieces of text add up to
 * the whole answer.
 * @throws whatever `events` throws
 */
export async function* chatStream(
  head: CompletionHead,
  events: AsyncIterable<GenerateEvent>,
  options: ChatStreamOptions,
): AsyncGenerator<StreamMessage, void, void> {
  type Choice = ChatCompletionChunk["choices"][number];
  const chunk = (
    choices: readonly Choice[],
    more: Pick<ChatCompletionChunk, "usage" | "diffusion"> = {},
  ): string => {
    const whole: ChatCompletionChunk = {
      id: head.id,
      object: "chat.completion.chunk",
      created: head.created,
      model: head.model,
      system_fingerprint: head.system_fingerprint,
      choices,
      ...(options.includeUsage ? { usage: null } : {}),
      ...more,
    };
    return JSON.stringify(whole);
  };
  const delta = (
    delta: Choice["delta"],
    tokens?: readonly AnswerToken[],
    finish_reason: Choice["finish_reason"] = null,
  ): StreamMessage => ({
    data: chunk([{ index: 0, delta, logprobs: chatLogprobs(tokens), finish_reason }]),
  });
  const typed = (diffusion: DenoiseEvent): StreamMessage => ({
    event: diffusion.type,
    data: chunk([], { diffusion }),
  });

  yield delta({ role: "assistant", content: "" });
  let sent = "";
  let tokensSent = 0;
  let prefixLength = 0;
  let end: EndEvent | undefined;
  for await (const event of events) {
    switch (event.type) {
      case "start":
        if (options.streamEvents) yield typed(startEvent(event));
        break;
      case "step": {
        if (options.streamEvents) yield typed(unmaskEvent(event));
        const remask = remaskEvent(event);
        if (options.streamEvents && remask) yield typed(remask);
        if (event.delta !== "") {
          sent += event.delta;
          tokensSent += event.tokens?.length ?? 0;
          yield delta({ content: event.delta }, event.tokens);
        }
        if (options.streamEvents && event.prefixLength > prefixLength) {
          prefixLength = event.prefixLength;
          yield typed(commitPrefixEvent(event));
        }
        break;
      }
      case "end":
        end = event;
    }
  }
  if (end === undefined) throw new Error("the engine ended without an end event");
  // Text that no step could send, such as a character that the token limit cut in half.
  const left = end.tokens?.slice(tokensSent);
  const more = end.text.length > sent.length;
  if (more) yield delta({ content: end.text.slice(sent.length) }, left);
  // A stop string may have cut a token whose text was sent before.
  yield delta({}, more || !left?.length ? undefined : left, end.finishReason);
  if (options.includeUsage) yield { data: chunk([], { usage: completionUsage(end) }) };
  yield { data: "[DONE]" };
}
