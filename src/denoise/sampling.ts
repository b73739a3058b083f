/**
 * Sampling: how penalties and biases change a position's logits, which tokens pass its filters, and
 * which scores are reported. The formulas are in `src/server/README.md`.
 */

import type { LogitChange, TokenChoice } from "./prediction.ts";
import type { Sequence } from "./sequence.ts";

/** Sampling options of a request; absent ones change nothing. */
export interface SamplingOptions {
  /** Number of likeliest tokens that may be chosen, from 1. */
  readonly topK?: number;
  /** Share of the probability, from the likeliest token down, that may be chosen, in [0, 1]. */
  readonly topP?: number;
  /** Least probability that may be chosen, as a share of the likeliest token's, in [0, 1]. */
  readonly minP?: number;
  /** Taken from the logit of every token that stands in the answer. */
  readonly presencePenalty?: number;
  /** Taken from a token's logit for each time that it stands in the answer. */
  readonly frequencyPenalty?: number;
  /** Divides positive logits, and multiplies others, of tokens in prompt and answer; above 0. */
  readonly repetitionPenalty?: number;
  /** Added to logits, by token; -Infinity bans a token. The last one of a token counts. */
  readonly logitBias?: readonly (readonly [token: number, bias: number])[];
  /** Number of likeliest tokens reported with each prediction; absent: no scores are reported. */
  readonly likeliest?: number;
}

/**
 * Changes of logits that follow from the tokens decided so far; every position of a step has the
 * same ones. Masks and hidden positions do not count.
 * @param uncounted tokens that do not count: those that end an answer, since a model also fills
 * with them what lies behind its end
 * @returns each token once, ascending
 */
export function logitChanges(
  { ids, attentionMask, promptLength, maskToken }: Sequence,
  sampling: SamplingOptions,
  uncounted: readonly number[],
): LogitChange[] {
  const { presencePenalty = 0, frequencyPenalty = 0, repetitionPenalty = 1 } = sampling;
  const counts = new Map<number, number>();
  const seen = new Set<number>();
  for (const [position, token] of ids.entries()) {
    if (token === maskToken || uncounted.includes(token) || attentionMask?.[position] === 0) {
      continue;
    }
    seen.add(token);
    if (position >= promptLength) counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  const bias = new Map(sampling.logitBias);
  const repeated = repetitionPenalty === 1 ? [] : seen;
  const penalised = presencePenalty === 0 && frequencyPenalty === 0 ? [] : counts.keys();
  return [...new Set([...repeated, ...penalised, ...bias.keys()])]
    .sort((a, b) => a - b)
    .map((token) => {
      const count = counts.get(token) ?? 0;
      const penalty = frequencyPenalty * count + (count > 0 ? presencePenalty : 0);
      return {
        token,
        repetition: seen.has(token) ? repetitionPenalty : 1,
        offset: (bias.get(token) ?? 0) - penalty,
      };
    });
}

/** The same options for a draft, whose scores nobody sees. */
export function withoutScores<T extends { readonly sampling?: SamplingOptions }>(options: T): T {
  const { sampling } = options;
  return sampling === undefined
    ? options
    : { ...options, sampling: { ...sampling, likeliest: undefined } };
}

/** The choice of a step's tokens at a state, with the request's sampling if it has one. */
export function sampledChoice(
  choice: TokenChoice,
  sequence: Sequence,
  { sampling, endTokens }: {
    readonly sampling?: SamplingOptions;
    readonly endTokens: readonly number[];
  },
): TokenChoice {
  if (sampling === undefined) return choice;
  const { topK, topP, minP, likeliest } = sampling;
  const changes = logitChanges(sequence, sampling, endTokens);
  return { ...choice, sampling: { topK, topP, minP, likeliest, changes } };
}
