/** Answers of llama-server's `/completion` and `/infill`, whole and in chunks. */
import type { Timings } from "../answer_report.ts";
import {
  type AnswerChunk,
  type AnswerUsage,
  type ChoiceLogprobs,
  finalUsage,
  type TokenLogprob,
  type WholeAnswer,
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
  /** Whether they are those after sampling: of greedy choices, 1 for what was chosen. */
  readonly afterSampling: boolean;
  /** Whether a stream's chunks have the times so far. */
  readonly withTimings: boolean;
  /** Fields to which whole answers are cut, `generation_settings/seed` one inside; none: all. */
  readonly only: readonly string[];
}

interface Ending {
  readonly index: number;
  readonly content: string;
  readonly reason: string | null;
  readonly stopText: string | null;
  readonly model: string;
  readonly usage?: AnswerUsage;
  readonly timings?: Timings;
}

function lastFields(
  { index, content, reason, stopText, model, usage, timings }: Ending,
  { prompts, settings }: AnswerShape,
) {
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
    timings,
  };
}

/** The ids of tokens, as far as they are known. */
function idsOf(logprobs: ChoiceLogprobs | null | undefined): readonly number[] {
  return (logprobs?.content ?? []).flatMap(({ id }) => id ?? []);
}

function probabilities(
  logprobs: ChoiceLogprobs | null | undefined,
  { withProbabilities, afterSampling }: AnswerShape,
) {
  if (!withProbabilities || !logprobs?.content) return {};
  const tokens = logprobs.content;
  return { completion_probabilities: afterSampling ? tokens.map(sampled) : tokens };
}

/** A token's probabilities after a greedy choice. The chosen one is among the likeliest. */
function sampled({ logprob: _, top_logprobs, ...chosen }: TokenLogprob) {
  const others = top_logprobs.filter(({ id }) => id !== chosen.id);
  const top = [chosen, ...others].slice(0, top_logprobs.length);
  return {
    ...chosen,
    prob: 1,
    top_probs: top.map(({ id, token, bytes }, i) => ({ id, token, bytes, prob: i === 0 ? 1 : 0 })),
  };
}

/** The answer to one prompt of a request without `stream`. */
export function wholeOf(
  { choices, model, usage, timings }: WholeAnswer,
  index: number,
  shape: AnswerShape,
) {
  const { message, finish_reason, stop_reason, logprobs } = choices[0];
  const content = message.content ?? "";
  const stopText = stop_reason ?? null;
  const answer = {
    content,
    tokens: shape.withTokens ? idsOf(logprobs) : [],
    ...probabilities(logprobs, shape),
    ...lastFields(
      { index, content, reason: finish_reason, stopText, model, usage, timings },
      shape,
    ),
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

/** How an answer stands, and ends. */
interface Ended {
  content: string;
  reason: string | null;
  stopText: string | null;
}

/** The chunks of a streamed answer: those of each prompt end with one that has `stop`. */
export async function* chunksOf(
  chunks: AsyncIterable<AnswerChunk>,
  shape: AnswerShape,
): AsyncGenerator<object, void, void> {
  const answers = new Map<number, Ended>();
  for await (const chunk of chunks) {
    const { ask: index, choices, model, timings } = chunk;
    const answer: Ended = answers.get(index) ?? { content: "", reason: null, stopText: null };
    answers.set(index, answer);
    for (const { delta, finish_reason, stop_reason, logprobs } of choices) {
      answer.reason = finish_reason ?? answer.reason;
      answer.stopText = stop_reason ?? answer.stopText;
      if (!delta.content) continue;
      answer.content += delta.content;
      for (const piece of pieces(delta.content, logprobs, shape)) {
        yield {
          index,
          content: piece.content,
          tokens: idsOf(piece.logprobs),
          stop: false,
          ...probabilities(piece.logprobs, shape),
          ...shape.withTimings && { timings },
        };
      }
    }
    // The chunk with the token counts is each answer's last.
    const usage = finalUsage(chunk);
    if (!usage) continue;
    const last = lastFields({ index, ...answer, model, usage, timings }, shape);
    yield { content: "", tokens: [], ...last };
  }
}

/**
 * A chunk's text, cut where each token begins if probabilities were asked for: llama-server's clients
 * read one token's of a chunk.
 */
function* pieces(
  content: string,
  logprobs: ChoiceLogprobs | null | undefined,
  { withProbabilities }: AnswerShape,
): Generator<{ readonly content: string; readonly logprobs?: ChoiceLogprobs | null }> {
  const tokens = logprobs?.content ?? [];
  if (!withProbabilities || tokens.length < 2) return yield { content, logprobs };
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let at = 0;
  for (const [i, token] of tokens.entries()) {
    const text = decoder.decode(Uint8Array.from(token.bytes ?? []), { stream: true });
    // A stop string may cut the last token.
    const end = i === tokens.length - 1
      ? content.length
      : Math.min(at + text.length, content.length);
    yield { content: content.slice(at, end), logprobs: { content: [token] } };
    at = end;
  }
}
