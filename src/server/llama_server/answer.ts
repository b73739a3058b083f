/** Answers of llama-server's `/completion` and `/infill`, whole and in chunks. */
import type {
  AnswerChunk,
  AnswerUsage,
  ChoiceLogprobs,
  WholeAnswer,
} from "../translated/chat_answer.ts";

/** What an answer needs of its request. */
export interface AnswerShape {
  /** The prompts, as text. */
  readonly prompts: readonly string[];
  /** What the request asked for, as the answer tells it again. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Whether whole answers have the ids of their tokens; a stream's chunks have them anyway. */
  readonly withTokens: boolean;
  /** Whether each token's probabilities were asked for. */
  readonly withProbabilities: boolean;
  /** Fields to which whole answers are cut, `generation_settings/seed` one inside; none: all. */
  readonly only: readonly string[];
  /** When the request came, in milliseconds of `performance.now`. */
  readonly begun: number;
}

interface Ending {
  readonly index: number;
  readonly content: string;
  readonly reason: string | null;
  readonly stopText: string | null;
  readonly model: string;
  readonly usage?: AnswerUsage;
}

function lastFields(
  { index, content, reason, stopText, model, usage }: Ending,
  { prompts, settings, begun }: AnswerShape,
) {
  const milliseconds = performance.now() - begun;
  const predicted = usage?.completion_tokens ?? 0;
  return {
    index,
    stop: true,
    model,
    prompt: prompts[index],
    stop_type: reason === "length" ? "limit" : stopText === null ? "eos" : "word",
    stopping_word: stopText ?? "",
    has_new_line: content.includes("\n"),
    tokens_predicted: predicted,
    tokens_evaluated: usage?.prompt_tokens ?? 0,
    tokens_cached: 0,
    truncated: false,
    generation_settings: settings,
    timings: {
      prompt_n: usage?.prompt_tokens ?? 0,
      predicted_n: predicted,
      predicted_ms: milliseconds,
      predicted_per_second: predicted / Math.max(milliseconds / 1000, 1e-9),
    },
  };
}

/** The ids of tokens, as far as they are known. */
function idsOf(logprobs: ChoiceLogprobs | null | undefined): readonly number[] {
  return (logprobs?.content ?? []).flatMap(({ id }) => id ?? []);
}

function probabilities(
  logprobs: ChoiceLogprobs | null | undefined,
  { withProbabilities }: AnswerShape,
) {
  return withProbabilities && logprobs?.content
    ? { completion_probabilities: logprobs.content }
    : {};
}

/** The answer to one prompt of a request without `stream`. */
export function wholeOf({ choices, model, usage }: WholeAnswer, index: number, shape: AnswerShape) {
  const { message, finish_reason, stop_reason, logprobs } = choices[0];
  const content = message.content ?? "";
  const stopText = stop_reason ?? null;
  const answer = {
    content,
    tokens: shape.withTokens ? idsOf(logprobs) : [],
    ...probabilities(logprobs, shape),
    ...lastFields({ index, content, reason: finish_reason, stopText, model, usage }, shape),
  };
  return shape.only.length === 0 ? answer : cutTo(answer, shape.only);
}

/** Those fields of an answer that are there, each under the path that asked for it. */
function cutTo(answer: object, only: readonly string[]): object {
  const valueAt = (path: string) =>
    path.split("/").reduce<unknown>(
      (value, name) =>
        typeof value === "object" && value !== null && Object.hasOwn(value, name)
          ? (value as Record<string, unknown>)[name]
          : undefined,
      answer,
    );
  return Object.fromEntries(
    only.map((path) => [path, valueAt(path)]).filter(([, value]) => value !== undefined),
  );
}

/** The chunks of a streamed answer: those of each prompt end with one that has `stop`. */
export async function* chunksOf(
  chunks: AsyncIterable<AnswerChunk>,
  shape: AnswerShape,
): AsyncGenerator<object, void, void> {
  let content = "";
  let reason: string | null = null;
  let stopText: string | null = null;
  for await (const { ask: index, choices, model, usage } of chunks) {
    for (const { delta, finish_reason, stop_reason, logprobs } of choices) {
      reason = finish_reason ?? reason;
      stopText = stop_reason ?? stopText;
      if (!delta.content) continue;
      content += delta.content;
      yield {
        index,
        content: delta.content,
        tokens: idsOf(logprobs),
        stop: false,
        ...probabilities(logprobs, shape),
      };
    }
    // The chunk with the token counts is each answer's last.
    if (!usage) continue;
    const last = lastFields({ index, content, reason, stopText, model, usage }, shape);
    yield { content: "", tokens: [], ...last };
    [content, reason, stopText] = ["", null, null];
  }
}
