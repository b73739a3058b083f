/** Text completions, whole and in chunks, made of chat completions. */
import type { PromptLogprob } from "../answer_report.ts";
import { nameById } from "../logprobs.ts";
import {
  type AnswerChunk,
  type AnswerUsage,
  type ChoiceLogprobs,
  finalUsage,
  NO_USAGE,
  type TokenLogprob,
  type WholeAnswer,
} from "../translated/chat_answer.ts";
import { newId } from "../translated/body.ts";

/** A prompt that is said again before its answer. */
export interface Echo {
  readonly text: string;
  /** Its tokens, where log-probabilities were asked for. */
  readonly tokens: readonly { readonly id: number; readonly token: string }[];
}

/** What a completion needs of its request. */
export interface CompletionShape {
  /** What stands before each prompt's answer: the prompt itself with `echo`. */
  readonly echoes: readonly Echo[];
  /** Answers for each prompt. */
  readonly each: number;
  /** Whether a stream ends with token counts. */
  readonly includeUsage: boolean;
  /** Whether its other chunks have those so far. */
  readonly continuousUsage: boolean;
  /** Whether log-probabilities name tokens by their ids. */
  readonly namesByIds: boolean;
  /** Whether log-probabilities were asked for. */
  readonly withLogprobs: boolean;
  /** Whether the client asked for the prompt's log-probabilities by vLLM's field. */
  readonly withPromptLogprobs: boolean;
  /** Whether choices also have their text as llama-server's `content`. */
  readonly withContent: boolean;
}

/** A token as completions have it; one that was given may have no probability. */
interface Listed {
  readonly id?: number;
  readonly token: string;
  readonly logprob: number | null;
  readonly top: readonly Pick<TokenLogprob, "id" | "token" | "logprob">[] | null;
}

/** The tokens of a prompt, with their probabilities where they are known. */
function listedPrompt(
  { tokens }: Echo,
  scores: readonly (PromptLogprob | null)[] | undefined,
): Listed[] {
  return tokens.map(({ id, token }, i) => {
    const score = scores?.[i];
    if (!score) return { id, token, logprob: null, top: null };
    const top = Object.entries(score).filter(([, { rank }]) => rank !== null)
      .map(([key, { logprob, decoded_token }]) => {
        return { id: Number(key), token: decoded_token, logprob };
      });
    return { id, token, logprob: score[id].logprob, top };
  });
}

/** Log-probabilities in the shape of completions. @param offset UTF-16 units before the first token */
function listedLogprobs(
  all: readonly Listed[],
  offset: number,
  { namesByIds }: Pick<CompletionShape, "namesByIds">,
) {
  const nameOf = ({ id, token }: Pick<Listed, "id" | "token">) => namesByIds ? nameById(id) : token;
  let at = offset;
  return {
    tokens: all.map(nameOf),
    token_logprobs: all.map(({ logprob }) => logprob),
    // The chosen token is always among them, whatever its rank.
    top_logprobs: all.map((one) =>
      one.top && {
        ...Object.fromEntries(one.top.map((other) => [nameOf(other), other.logprob])),
        [nameOf(one)]: one.logprob,
      }
    ),
    text_offset: all.map(({ token }) => {
      at += token.length;
      return at - token.length;
    }),
  };
}

/** Log-probabilities of an answer's tokens; null if none were asked for. */
export function completionLogprobs(
  logprobs: ChoiceLogprobs | null | undefined,
  offset: number,
  shape: Pick<CompletionShape, "namesByIds"> = { namesByIds: false },
) {
  const tokens = listed(logprobs);
  return tokens ? listedLogprobs(tokens, offset, shape) : null;
}

function listed(logprobs: ChoiceLogprobs | null | undefined): Listed[] | undefined {
  return logprobs?.content?.map(({ top_logprobs, ...one }) => ({ ...one, top: top_logprobs }));
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
  shape: CompletionShape,
) {
  const choices = answers.flatMap((answer, ask) => {
    const echo = shape.echoes[ask];
    const { prompt_token_ids, prompt_logprobs } = answer;
    return answer.choices.map(
      ({ index, message, logprobs, finish_reason, stop_reason, token_ids }) => {
        const tokens = listed(logprobs);
        const all = tokens && [...listedPrompt(echo, prompt_logprobs), ...tokens];
        return {
          text: echo.text + (message.content ?? ""),
          index: ask * shape.each + index,
          logprobs: all ? listedLogprobs(all, 0, shape) : null,
          finish_reason,
          ...stop_reason !== undefined && { stop_reason },
          ...token_ids && { token_ids, prompt_token_ids },
          ...shape.withPromptLogprobs && { prompt_logprobs },
        };
      },
    );
  });
  const { timings } = answers[0];
  return {
    ...headOf(answers[0]),
    choices,
    ...shape.withContent && { content: choices[0].text },
    usage: sum(answers.map(({ usage }) => usage)),
    ...timings && answers.length === 1 && { timings },
  };
}

/** The data of a streamed completion's events; `[DONE]` is not among them. */
export async function* completionChunks(
  chunks: AsyncIterable<AnswerChunk>,
  shape: CompletionShape,
): AsyncGenerator<object, void, void> {
  let head: ReturnType<typeof headOf> | undefined;
  /** Token counts of each prompt's answers so far, at last all of them. */
  const usages: AnswerUsage[] = [];
  /** Text sent so far, in UTF-16 units, by index. */
  const sent = new Map<number, number>();
  const promptIds: AnswerChunk["prompt_token_ids"][] = [];
  let timings: Pick<AnswerChunk, "timings"> = {};
  for await (const chunk of chunks) {
    head ??= headOf(chunk);
    const prompt_token_ids = promptIds[chunk.ask] ??= chunk.prompt_token_ids;
    timings = chunk.timings ? { timings: chunk.timings } : {};
    usages[chunk.ask] = finalUsage(chunk) ?? chunk.usage ?? usages[chunk.ask] ?? NO_USAGE;
    for (const choice of chunk.choices) {
      const index = chunk.ask * shape.each + choice.index;
      const before = sent.get(index);
      const echo = before === undefined ? shape.echoes[chunk.ask] : NO_ECHO;
      const text = echo.text + (choice.delta.content ?? "");
      const { finish_reason, token_ids } = choice;
      // The chunk that only names the role has no place here.
      if (text === "" && finish_reason === null) continue;
      const offset = before ?? 0;
      sent.set(index, offset + text.length);
      const all = [...listedPrompt(echo, undefined), ...listed(choice.logprobs) ?? []];
      yield {
        ...head,
        choices: [{
          text,
          index,
          logprobs: shape.withLogprobs ? listedLogprobs(all, offset, shape) : null,
          finish_reason,
          ...token_ids && { token_ids },
          ...prompt_token_ids && before === undefined && { prompt_token_ids },
        }],
        ...shape.includeUsage && {
          usage: shape.continuousUsage ? sum(usages) : null,
        },
        ...timings,
      };
    }
  }
  if (shape.includeUsage && head) yield { ...head, choices: [], usage: sum(usages), ...timings };
}

/** Nothing that is said again. */
export const NO_ECHO: Echo = { text: "", tokens: [] };
