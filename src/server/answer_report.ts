/** What a response tells beside its answers: ids of tokens, the prompt's probabilities, times. */
import type { AnswerToken, GenerateEvent, PromptToken } from "../engine/request.ts";
import type { AnswerEvent } from "./answers.ts";
import { type ChatLogprobs, chatLogprobs, lowest } from "./logprobs.ts";
import type { ReportOptions } from "./report_fields.ts";

/** Times and counts in llama-server's names. Milliseconds. */
export interface Timings {
  readonly cache_n: 0;
  readonly prompt_n: number;
  /** From the start of the first answer to the end of its first pass, which reads the prompt. */
  readonly prompt_ms: number;
  readonly prompt_per_token_ms: number;
  readonly prompt_per_second: number;
  readonly predicted_n: number;
  /** From that start to the last token of any answer so far: every pass reads the prompt too. */
  readonly predicted_ms: number;
  readonly predicted_per_token_ms: number;
  readonly predicted_per_second: number;
  /** From the request until it got its turn: this server's addition. */
  readonly wait_ms: number;
}

/** A prompt's token in vLLM's shape, by id: itself, and the likeliest. */
export type PromptLogprob = Readonly<
  Record<string, {
    readonly logprob: number;
    /** From 1; null if the token is none of the likeliest. */
    readonly rank: number | null;
    readonly decoded_token: string;
  }>
>;

/** Members of a whole response, or of a stream's first chunk. */
export interface PromptMembers {
  readonly prompt_token_ids?: readonly number[];
  /** The first is null, as clients know it of models that read from left to right. */
  readonly prompt_logprobs?: readonly (PromptLogprob | null)[];
}

/** Token counts so far. */
export interface CountsSoFar {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** Sees the events of a request's answers. */
export class AnswerReport {
  readonly #asked = performance.now();
  /** The start of the first answer. */
  #start: Extract<GenerateEvent, { type: "start" }> | undefined;
  /** When that came, when its first pass was over, and when the last event of any answer came. */
  #started = 0;
  #read: number | undefined;
  #latest = 0;
  /** Tokens of each answer so far. */
  readonly #tokens = new Map<number, number>();

  constructor(readonly options: ReportOptions) {}

  /** Whether a stream's first chunk tells of the prompt, and so waits for the start. */
  get waits(): boolean {
    return Boolean(this.options.tokenIds || this.options.continuousUsage);
  }

  /** Takes note of an event. */
  see(event: AnswerEvent): void {
    const { answer = 0 } = event;
    const now = performance.now();
    this.#latest = now;
    if (event.type === "start") {
      if (!this.#start) this.#started = now;
      this.#start ??= event;
      return;
    }
    this.#read ??= now;
    const gained = event.type === "step" ? event.tokens?.length ?? 0 : 0;
    const tokens = (this.#tokens.get(answer) ?? 0) + gained;
    this.#tokens.set(answer, event.type === "end" ? event.usage.completionTokens : tokens);
  }

  get #completionTokens(): number {
    return this.#tokens.values().reduce((sum, tokens) => sum + tokens, 0);
  }

  /** What is told of the prompt. */
  get prompt(): PromptMembers {
    const { promptIds, prompt } = this.#start ?? {};
    return {
      ...promptIds && { prompt_token_ids: promptIds },
      ...prompt && { prompt_logprobs: prompt.map((token, i) => i === 0 ? null : scored(token)) },
    };
  }

  /** Token counts so far, for a chunk of a stream that has them. */
  get usage(): { readonly usage?: CountsSoFar } {
    if (!this.options.continuousUsage) return {};
    const prompt_tokens = this.#start?.promptTokens ?? 0;
    const completion_tokens = this.#completionTokens;
    const total_tokens = prompt_tokens + completion_tokens;
    return { usage: { prompt_tokens, completion_tokens, total_tokens } };
  }

  /** Times so far; none before the first step. */
  get timings(): { readonly timings?: Timings } {
    if (!this.options.timings || this.#read === undefined) return {};
    const prompt_n = this.#start?.promptTokens ?? 0;
    const prompt_ms = this.#read - this.#started;
    const predicted_n = this.#completionTokens;
    const predicted_ms = this.#latest - this.#started;
    return {
      timings: {
        cache_n: 0,
        prompt_n,
        prompt_ms,
        prompt_per_token_ms: prompt_ms / Math.max(1, prompt_n),
        prompt_per_second: perSecond(prompt_n, prompt_ms),
        predicted_n,
        predicted_ms,
        predicted_per_token_ms: predicted_ms / Math.max(1, predicted_n),
        predicted_per_second: perSecond(predicted_n, predicted_ms),
        wait_ms: this.#started - this.#asked,
      },
    };
  }

  /** Log-probabilities of tokens, if they were asked for. */
  logprobs(tokens: readonly AnswerToken[] | undefined): ChatLogprobs | null {
    const { hidesLogprobs, namesByIds } = this.options;
    return hidesLogprobs ? null : chatLogprobs(tokens, namesByIds);
  }

  /** Ids of tokens, if they were asked for; none where they are not known. */
  ids(tokens: readonly AnswerToken[] | undefined): { readonly token_ids?: readonly number[] } {
    return this.options.tokenIds ? { token_ids: (tokens ?? []).map(({ token }) => token) } : {};
  }
}

function perSecond(count: number, milliseconds: number): number {
  return count / Math.max(milliseconds / 1000, 1e-6);
}

function scored(token: PromptToken): PromptLogprob {
  const ranked = token.likeliest.map((one, i) => ({ ...one, rank: i + 1 as number | null }));
  const known = ranked.some((one) => one.token === token.token);
  // The prompt's own token comes first.
  const all = known ? ranked : [{ ...token, rank: null }, ...ranked];
  return Object.fromEntries(all.map(({ token: id, text, rank, logProbability }) => [id, {
    logprob: lowest(logProbability),
    rank,
    decoded_token: text,
  }]));
}
