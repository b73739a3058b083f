/** Ollama's answers, whole and as lines, made of a chat completion. */
import type { Timings } from "../answer_report.ts";
import type {
  AnswerChunk,
  AnswerUsage,
  ChoiceLogprobs,
  ToolCall,
  WholeAnswer,
} from "../translated/chat_answer.ts";
import { sentLine } from "../translated/translation.ts";

/** Which of the two routes answers: they name the text differently. */
export type OllamaKind = "chat" | "generate";

/** What is the same in all lines of an answer. */
export interface OllamaHead {
  readonly kind: OllamaKind;
  /** The name that the client used. */
  readonly model: string;
  /** When the request came, in milliseconds of `performance.now`. */
  readonly begun: number;
  /** Token ids before the prompt's, where the answer gives the whole conversation's. */
  readonly context?: readonly number[];
}

/** Ids of a whole conversation, that the next request may send. */
function contextOf(
  { context }: OllamaHead,
  prompt: readonly number[] | undefined,
  answer: readonly number[] | undefined,
): { readonly context?: readonly number[] } {
  return context && prompt ? { context: [...prompt, ...answer ?? []] } : {};
}

function line(
  { kind, model }: OllamaHead,
  text: string,
  calls: readonly ToolCall[] = [],
  logprobs?: ChoiceLogprobs | null,
) {
  const tool_calls = calls.length === 0 ? undefined : calls.map(({ function: called }) => ({
    function: { name: called?.name ?? "", arguments: JSON.parse(called?.arguments || "{}") },
  }));
  return {
    model,
    created_at: new Date().toISOString(),
    ...kind === "chat"
      ? { message: { role: "assistant", content: text, tool_calls } }
      : { response: text },
    ...logprobs?.content && { logprobs: logprobs.content },
  };
}

/**
 * Nanoseconds. A model that is loaded loads no more: the time until it got its turn stands there. The
 * first pass reads the prompt, and is part of the answer's time as well.
 */
function figures(
  { begun }: OllamaHead,
  usage: AnswerUsage | undefined,
  timings: Timings | undefined,
) {
  const nanoseconds = (milliseconds = 0) => Math.round(milliseconds * 1e6);
  return {
    total_duration: nanoseconds(performance.now() - begun),
    load_duration: nanoseconds(timings?.wait_ms),
    prompt_eval_count: usage?.prompt_tokens ?? 0,
    prompt_eval_duration: nanoseconds(timings?.prompt_ms),
    eval_count: usage?.completion_tokens ?? 0,
    eval_duration: nanoseconds(timings?.predicted_ms),
  };
}

function doneReason(finishReason: string | null): string {
  return finishReason === "length" ? "length" : "stop";
}

/** The answer to a request with `stream: false`. */
export function wholeAnswer(
  head: OllamaHead,
  { choices, usage, timings, prompt_token_ids }: WholeAnswer,
) {
  const { message, finish_reason, logprobs, token_ids } = choices[0];
  return {
    ...line(head, message.content ?? "", message.tool_calls, logprobs),
    done: true,
    done_reason: doneReason(finish_reason),
    ...contextOf(head, prompt_token_ids, token_ids),
    ...figures(head, usage, timings),
  };
}

/** The answer to a request without a prompt: the model is there, or stays. */
export function loadedAnswer(head: OllamaHead, reason: "load" | "unload") {
  return { ...line(head, ""), done: true, done_reason: reason };
}

/** The lines of a streamed answer. A call is sent when it is whole. */
export async function* answerLines(
  head: OllamaHead,
  chunks: AsyncIterable<AnswerChunk>,
): AsyncGenerator<string, void, void> {
  let end: string | null = null;
  let usage: AnswerUsage | undefined;
  let timings: Timings | undefined;
  let prompt: readonly number[] | undefined;
  const ids: number[] = [];
  const calls: ToolCall[] = [];
  for await (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    timings = chunk.timings ?? timings;
    prompt = chunk.prompt_token_ids ?? prompt;
    for (const { delta, logprobs, finish_reason, token_ids } of chunk.choices) {
      end = finish_reason ?? end;
      ids.push(...token_ids ?? []);
      for (const piece of delta.tool_calls ?? []) addPiece(calls, piece);
      if (!delta.content) continue;
      yield sentLine({ ...line(head, delta.content, [], logprobs), done: false });
    }
  }
  if (calls.length > 0) yield sentLine({ ...line(head, "", calls), done: false });
  yield sentLine({
    ...line(head, ""),
    done: true,
    done_reason: doneReason(end),
    ...contextOf(head, prompt, ids),
    ...figures(head, usage, timings),
  });
}

function addPiece(calls: ToolCall[], piece: ToolCall): void {
  const at = piece.index ?? 0;
  const { name, arguments: before = "" } = calls[at]?.function ?? {};
  const { function: added } = piece;
  calls[at] = {
    function: { name: name ?? added?.name, arguments: before + (added?.arguments ?? "") },
  };
}
