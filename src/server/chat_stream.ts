/** A generation's events as the messages of a streamed chat completion. */
import { AnswerReport } from "./answer_report.ts";
import type { AnswerToken, GenerateEvent } from "../engine/request.ts";
import { atDeadline } from "./deadline.ts";
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
import type { ReportOptions } from "./report_fields.ts";
import { CallText, type MessageDelta, olderDelta } from "./tools.ts";

/** What a stream carries besides the text. */
export interface ChatStreamOptions {
  /** Whether to add a last chunk with the token counts, and `usage: null` to the others. */
  readonly includeUsage: boolean;
  /** Whether those counts say how the answer was denoised. */
  readonly includeDiffusion: boolean;
  /** Whether an answer may be a call of a tool. */
  readonly mayCall: boolean;
  /** Whether calls come in OpenAI's older spelling. */
  readonly olderCalls?: boolean;
  /** Whether to add typed events of every step (denoise_events.ts). */
  readonly streamEvents: boolean;
  /** What is told beside the answers. */
  readonly report?: ReportOptions;
}

/**
 * Turns events into messages: for each answer a chunk with the role, a chunk per piece of text and a
 * chunk with the finish reason, all with its index; then one with the token counts if asked for, and
 * `[DONE]`. The pieces of text add up to the whole answer.
 * @param events those of one answer, or of several in a row
 * @throws whatever `events` throws
 */
export async function* chatStream(
  head: CompletionHead,
  events: AsyncIterable<GenerateEvent>,
  options: ChatStreamOptions,
): AsyncGenerator<StreamMessage, void, void> {
  type Choice = ChatCompletionChunk["choices"][number];
  let index = 0;
  const report = new AnswerReport(options.report ?? {});
  const chunk = (
    choices: readonly Choice[],
    more: Partial<ChatCompletionChunk> = {},
  ): string => {
    const whole: ChatCompletionChunk = {
      id: head.id,
      object: "chat.completion.chunk",
      created: head.created,
      model: head.model,
      system_fingerprint: head.system_fingerprint,
      choices,
      ...(options.includeUsage ? { usage: null } : {}),
      ...report.usage,
      ...report.timings,
      ...more,
    };
    return JSON.stringify(whole);
  };
  const delta = (
    delta: Choice["delta"],
    tokens?: readonly AnswerToken[],
    finish_reason: Choice["finish_reason"] = null,
    more: Pick<Choice, "stop_reason" | "deadline"> = {},
  ): StreamMessage => ({
    data: chunk([{
      index,
      delta,
      logprobs: report.logprobs(tokens),
      finish_reason,
      ...report.ids(tokens),
      ...more,
    }]),
  });
  const opening = (more?: Partial<ChatCompletionChunk>): StreamMessage => {
    const delta = { role: "assistant", content: "" } as const;
    return { data: chunk([{ index, delta, logprobs: null, finish_reason: null }], more) };
  };
  const typed = (diffusion: DenoiseEvent): StreamMessage => ({
    event: diffusion.type,
    data: chunk([], { diffusion }),
  });

  if (!report.waits) yield opening();
  let sent = "";
  // An answer that may be a call is passed on as what its text turns out to be.
  let call: CallText | undefined;
  const spelled = (gained: MessageDelta) => options.olderCalls ? olderDelta(gained) : gained;
  const called = options.olderCalls ? "function_call" : "tool_calls";
  let tokensSent = 0;
  let prefixLength = 0;
  const ends: EndEvent[] = [];
  for await (const event of events) {
    report.see(event);
    switch (event.type) {
      case "start":
        if (report.waits || index > 0) yield opening(index === 0 ? report.prompt : {});
        if (options.report?.echo) yield delta({ content: options.report.echo });
        call = options.mayCall && event.constrained ? new CallText() : undefined;
        if (options.streamEvents) yield typed(startEvent(event));
        break;
      case "step": {
        if (options.streamEvents) yield typed(unmaskEvent(event));
        const remask = remaskEvent(event);
        if (options.streamEvents && remask) yield typed(remask);
        if (event.delta !== "") {
          sent += event.delta;
          tokensSent += event.tokens?.length ?? 0;
          if (!call) yield delta({ content: event.delta }, event.tokens);
          else for (const gained of call.add(event.delta)) yield delta(spelled(gained));
        }
        if (options.streamEvents && event.prefixLength > prefixLength) {
          prefixLength = event.prefixLength;
          yield typed(commitPrefixEvent(event));
        }
        break;
      }
      case "end": {
        // Text that no step could send, such as a character that the token limit cut in half.
        const rest = event.text.slice(sent.length);
        const left = event.tokens?.slice(tokensSent);
        if (rest !== "" && !call) yield delta({ content: rest }, left);
        for (const gained of call?.add(rest) ?? []) yield delta(spelled(gained));
        for (const gained of call?.end() ?? []) yield delta(spelled(gained));
        // A stop string may have cut a token whose text was sent before.
        const untold = (rest !== "" && !call) || !left?.length ? undefined : left;
        yield delta({}, call ? undefined : untold, call?.isCall ? called : event.finishReason, {
          stop_reason: event.stopText,
          ...atDeadline(event),
        });
        ends.push(event);
        index++;
        sent = "";
        tokensSent = 0;
        prefixLength = 0;
      }
    }
  }
  if (ends.length === 0) throw new Error("the engine ended without an end event");
  if (options.includeUsage) {
    yield { data: chunk([], { usage: completionUsage(ends, options.includeDiffusion) }) };
  }
  yield { data: "[DONE]" };
}
