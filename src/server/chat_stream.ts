/** A generation's events as the messages of a streamed chat completion. */
import { AnswerReport } from "./answer_report.ts";
import type { AnswerToken } from "../engine/request.ts";
import type { AnswerEvent } from "./answers.ts";
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

/** What has been sent of an answer. */
interface Sent {
  text: string;
  tokens: number;
  prefixLength: number;
  /** An answer that may be a call is passed on as what its text turns out to be. */
  call?: CallText;
}

/**
 * Turns events into messages: for each answer a chunk with the role, a chunk per piece of text and a
 * chunk with the finish reason, all with its index; then one with the token counts if asked for, and
 * `[DONE]`. The pieces of text add up to the whole answer. Chunks of several answers come as their
 * events do.
 * @param events those of one answer, or of several at once
 * @throws whatever `events` throws
 */
export async function* chatStream(
  head: CompletionHead,
  events: AsyncIterable<AnswerEvent>,
  options: ChatStreamOptions,
): AsyncGenerator<StreamMessage, void, void> {
  type Choice = ChatCompletionChunk["choices"][number];
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
    index: number,
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
  const opening = (index: number, more?: Partial<ChatCompletionChunk>): StreamMessage => {
    const delta = { role: "assistant", content: "" } as const;
    return { data: chunk([{ index, delta, logprobs: null, finish_reason: null }], more) };
  };
  const typed = (diffusion: DenoiseEvent, index?: number): StreamMessage => ({
    event: diffusion.type,
    data: chunk([], { diffusion: index === undefined ? diffusion : { ...diffusion, index } }),
  });

  if (!report.waits) yield opening(0);
  const sentOf = new Map<number, Sent>();
  const spelled = (gained: MessageDelta) => options.olderCalls ? olderDelta(gained) : gained;
  const called = options.olderCalls ? "function_call" : "tool_calls";
  const ends: EndEvent[] = [];
  for await (const event of events) {
    report.see(event);
    const { answer } = event;
    const index = answer ?? 0;
    const sent = sentOf.get(index) ?? { text: "", tokens: 0, prefixLength: 0 };
    sentOf.set(index, sent);
    const { call } = sent;
    switch (event.type) {
      case "start":
        if (report.waits || index > 0) yield opening(index, index === 0 ? report.prompt : {});
        if (options.report?.echo) yield delta(index, { content: options.report.echo });
        if (options.mayCall && event.constrained) sent.call = new CallText();
        if (options.streamEvents) yield typed(startEvent(event), answer);
        break;
      case "step": {
        if (options.streamEvents) yield typed(unmaskEvent(event), answer);
        const remask = remaskEvent(event);
        if (options.streamEvents && remask) yield typed(remask, answer);
        if (event.delta !== "") {
          sent.text += event.delta;
          sent.tokens += event.tokens?.length ?? 0;
          if (!call) yield delta(index, { content: event.delta }, event.tokens);
          else for (const gained of call.add(event.delta)) yield delta(index, spelled(gained));
        }
        if (options.streamEvents && event.prefixLength > sent.prefixLength) {
          sent.prefixLength = event.prefixLength;
          yield typed(commitPrefixEvent(event), answer);
        }
        break;
      }
      case "end": {
        // Text that no step could send, such as a character that the token limit cut in half.
        const rest = event.text.slice(sent.text.length);
        const left = event.tokens?.slice(sent.tokens);
        if (rest !== "" && !call) yield delta(index, { content: rest }, left);
        for (const gained of call?.add(rest) ?? []) yield delta(index, spelled(gained));
        for (const gained of call?.end() ?? []) yield delta(index, spelled(gained));
        // A stop string may have cut a token whose text was sent before.
        const untold = (rest !== "" && !call) || !left?.length ? undefined : left;
        const finish = call?.isCall ? called : event.finishReason;
        yield delta(index, {}, call ? undefined : untold, finish, {
          stop_reason: event.stopText,
          ...atDeadline(event),
        });
        ends[index] = event;
      }
    }
  }
  if (ends.length === 0) throw new Error("the engine ended without an end event");
  if (options.includeUsage) {
    yield { data: chunk([], { usage: completionUsage(ends, options.includeDiffusion) }) };
  }
  yield { data: "[DONE]" };
}
