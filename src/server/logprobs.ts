/** Log-probabilities of an answer's tokens, as OpenAI's two APIs have them. */
import type { AnswerToken, LikelyToken } from "../engine/request.ts";

/** A token with its log-probability. */
export interface TokenLogprob {
  /** Its id: llama-server's addition. */
  readonly id: number;
  /** The token as text; U+FFFD where it is part of a character. */
  readonly token: string;
  /** Its UTF-8 bytes. */
  readonly bytes: readonly number[];
  /** Natural logarithm of its probability; -9999 for a probability of 0. */
  readonly logprob: number;
}

/** A token of the answer. */
export interface ContentLogprob extends TokenLogprob {
  /** The likeliest tokens at its place, the first first. */
  readonly top_logprobs: readonly TokenLogprob[];
  /** Index of the denoising step that committed it: this server's addition. */
  readonly step: number;
}

/** The `logprobs` of a choice of a chat completion, or of a chunk for the text that it adds. */
export interface ChatLogprobs {
  readonly content: readonly ContentLogprob[];
  readonly refusal: null;
}

/** The `logprobs` of a choice of a completion. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  /** The likeliest tokens at each place and the chosen one, by text. */
  readonly top_logprobs: readonly Readonly<Record<string, number>>[];
  /** Where each token begins in the text, in UTF-16 units. */
  readonly text_offset: readonly number[];
  /** Index of the denoising step that committed each token: this server's addition. */
  readonly steps: readonly number[];
}

/** The value that OpenAI sends for a very unlikely token. */
const LOWEST_LOGPROB = -9999;

/** A logarithm as it is sent. */
export function lowest(logProbability: number): number {
  return Math.max(LOWEST_LOGPROB, logProbability);
}

function logprob({ logProbability }: LikelyToken): number {
  return lowest(logProbability);
}

/** A token's name where ids are asked for in place of texts: vLLM's. */
export function nameById(id: number | undefined): string {
  return `token_id:${id}`;
}

function tokenLogprob(token: LikelyToken, byId: boolean): TokenLogprob {
  const name = byId ? nameById(token.token) : token.text;
  return { id: token.token, token: name, bytes: token.bytes, logprob: logprob(token) };
}

/**
 * The tokens of a chat completion; null if none were asked for.
 * @param byId whether ids stand in place of the tokens' texts
 */
export function chatLogprobs(
  tokens: readonly AnswerToken[] | undefined,
  byId = false,
): ChatLogprobs | null {
  if (tokens === undefined) return null;
  const content = tokens.map((token): ContentLogprob => ({
    ...tokenLogprob(token, byId),
    top_logprobs: token.likeliest.map((one) => tokenLogprob(one, byId)),
    step: token.step,
  }));
  return { content, refusal: null };
}

/**
 * The tokens of a completion; null if none were asked for.
 * @param before UTF-16 units of text before the first of them
 */
export function completionLogprobs(
  tokens: readonly AnswerToken[] | undefined,
  before = 0,
): CompletionLogprobs | null {
  if (tokens === undefined) return null;
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let offset = before;
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(logprob),
    top_logprobs: tokens.map((token) =>
      Object.fromEntries([...token.likeliest, token].map((one) => [one.text, logprob(one)]))
    ),
    text_offset: tokens.map(({ bytes }) => {
      const start = offset;
      offset += decoder.decode(Uint8Array.from(bytes), { stream: true }).length;
      return start;
    }),
    steps: tokens.map(({ step }) => step),
  };
}
