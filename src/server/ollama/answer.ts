/** Ollama's answers, whole and as lines, made of a chat completion. */
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

/** Nanoseconds. The whole answer is denoised at once, so all its time is that of evaluating. */
function figures({ begun }: OllamaHead, usage: AnswerUsage | undefined) {
  const nanoseconds = Math.round((performance.now() - begun) * 1e6);
  return {
    total_duration: nanoseconds,
    load_duration: 0,
    prompt_eval_count: usage?.prompt_tokens ?? 0,
    prompt_eval_duration: 0,
    eval_count: usage?.completion_tokens ?? 0,
    eval_duration: nanoseconds,
  };
}

function doneReason(finishReason: string | null): string {
  return finishReason === "length" ? "length" : "stop";
}

/** The answer to a request with `stream: false`. */
export function wholeAnswer(head: OllamaHead, { choices, usage }: WholeAnswer) {
  const { message, finish_reason, logprobs } = choices[0];
  return {
    ...line(head, message.content ?? "", message.tool_calls, logprobs),
    done: true,
    done_reason: doneReason(finish_reason),
    ...figures(head, usage),
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
  const calls: ToolCall[] = [];
  for await (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    for (const { delta, logprobs, finish_reason } of chunk.choices) {
      end = finish_reason ?? end;
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
    ...figures(head, usage),
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
