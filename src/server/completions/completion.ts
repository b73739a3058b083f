/** Text completions, whole and in chunks, made of chat completions. */
import type {
  AnswerChunk,
  AnswerUsage,
  ChoiceLogprobs,
  WholeAnswer,
} from "../translated/chat_answer.ts";
import { newId } from "../translated/body.ts";

/** What a completion needs of its request. */
export interface CompletionShape {
  /** Text before each prompt's answer: the prompt itself with `echo`. */
  readonly echoes: readonly string[];
  /** The echoes' tokens, where log-probabilities were asked for. */
  readonly echoTokens: readonly (readonly string[])[];
  /** Answers for each prompt. */
  readonly each: number;
  /** Whether a stream ends with token counts. */
  readonly includeUsage: boolean;
}

/**
 * Log-probabilities in the shape of completions.
 * @param offset UTF-16 units of the text before the first token
 * @param echoed tokens of the prompt before them: they were given, so they have none
 */
export function completionLogprobs(
  logprobs: ChoiceLogprobs | null | undefined,
  offset: number,
  echoed: readonly string[] = [],
) {
  const tokens = logprobs?.content;
  if (!tokens) return null;
  let at = offset;
  const given = echoed.map((token) => ({ token, logprob: null, top_logprobs: null }));
  const all = [...given, ...tokens];
  return {
    tokens: all.map(({ token }) => token),
    token_logprobs: all.map(({ logprob }) => logprob),
    // The chosen token is always among them, whatever its rank.
    top_logprobs: all.map(({ token, logprob, top_logprobs }) =>
      top_logprobs && {
        ...Object.fromEntries(top_logprobs.map((one) => [one.token, one.logprob])),
        [token]: logprob,
      }
    ),
    text_offset: all.map(({ token }) => {
      at += token.length;
      return at - token.length;
    }),
  };
}

function headOf({ created, model, system_fingerprint }: AnswerChunk | WholeAnswer) {
  return { id: newId("cmpl-"), object: "text_completion", created, model, system_fingerprint };
}

function sum(all: readonly AnswerUsage[]): AnswerUsage {
  const of = (name: keyof AnswerUsage) => all.reduce((total, one) => total + one[name], 0);
  return {
    prompt_tokens: of("prompt_tokens"),
    completion_tokens: of("completion_tokens"),
    total_tokens: of("total_tokens"),
  };
}

/** The answer to a request without `stream`, of one chat completion for each prompt. */
export function wholeCompletion(
  answers: readonly [WholeAnswer, ...WholeAnswer[]],
  { echoes, echoTokens, each }: CompletionShape,
) {
  const choices = answers.flatMap((answer, ask) =>
    answer.choices.map(({ index, message, logprobs, finish_reason, stop_reason }) => ({
      text: echoes[ask] + (message.content ?? ""),
      index: ask * each + index,
      logprobs: completionLogprobs(logprobs, 0, echoTokens[ask]),
      finish_reason,
      ...stop_reason !== undefined && { stop_reason },
    }))
  );
  return { ...headOf(answers[0]), choices, usage: sum(answers.map(({ usage }) => usage)) };
}

/** The data of a streamed completion's events; `[DONE]` is not among them. */
export async function* completionChunks(
  chunks: AsyncIterable<AnswerChunk>,
  { echoes, echoTokens, each, includeUsage }: CompletionShape,
): AsyncGenerator<object, void, void> {
  let head: ReturnType<typeof headOf> | undefined;
  const usages: AnswerUsage[] = [];
  /** Text sent so far, in UTF-16 units, by index. */
  const sent = new Map<number, number>();
  for await (const chunk of chunks) {
    head ??= headOf(chunk);
    if (chunk.usage) usages.push(chunk.usage);
    for (const choice of chunk.choices) {
      const index = chunk.ask * each + choice.index;
      const before = sent.get(index);
      const text = (before === undefined ? echoes[chunk.ask] : "") + (choice.delta.content ?? "");
      const echoed = before === undefined ? echoTokens[chunk.ask] : [];
      const offset = before ?? 0;
      sent.set(index, (before ?? 0) + text.length);
      // The chunk that only names the role has no place here.
      if (text === "" && choice.finish_reason === null) continue;
      const { finish_reason } = choice;
      const told = choice.logprobs ?? (echoed.length > 0 ? { content: [] } : null);
      const logprobs = completionLogprobs(told, offset, echoed);
      yield {
        ...head,
        choices: [{ text, index, logprobs, finish_reason }],
        ...includeUsage && { usage: null },
      };
    }
  }
  if (includeUsage && head) yield { ...head, choices: [], usage: sum(usages) };
}
