/** The tokens of an answer with their log-probabilities, in the order of the text. */

import type { Commit, ScoredToken } from "../denoise/predictor.ts";
import { ShownTokens } from "../text/shown_tokens.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { AnswerToken, LikelyToken } from "./request.ts";

/** The part of a tokenizer that gives a token's text and bytes. */
export type TokenTexts = Pick<TextTokenizer, "tokenText" | "tokenBytes">;

/** A token with its text. */
export function likelyToken(
  tokenizer: TokenTexts,
  { token, logProbability }: ScoredToken,
): LikelyToken {
  return {
    token,
    text: tokenizer.tokenText(token),
    bytes: [...tokenizer.tokenBytes(token)],
    logProbability,
  };
}

/** Collects the tokens of one answer. */
export class AnswerTokens {
  readonly #tokenizer: TokenTexts;
  readonly #shown: ShownTokens<AnswerToken>;
  readonly #taken: AnswerToken[] = [];

  constructor(tokenizer: TokenTexts) {
    this.#tokenizer = tokenizer;
    this.#shown = new ShownTokens(tokenizer);
  }

  /** Adds a step's commits; `promptLength` is taken from their positions. */
  commit(step: number, commits: readonly Commit[], promptLength: number): void {
    for (const { position, token, logProbability, scores } of commits) {
      const place = position - promptLength;
      this.#shown.commit(place, token, {
        ...likelyToken(this.#tokenizer, {
          token,
          logProbability: scores?.logProbability ?? logProbability,
        }),
        position: place,
        step,
        likeliest: scores?.likeliest.map((one) => likelyToken(this.#tokenizer, one)) ?? [],
      });
    }
  }

  /** The tokens that the text gained when it grew to `length` UTF-16 units. */
  grow(length: number): readonly AnswerToken[] {
    const gained = this.#shown.take(length);
    this.#taken.push(...gained);
    return gained;
  }

  /** All tokens of a text that ended with this length. */
  end(length: number): readonly AnswerToken[] {
    return [...this.#taken, ...this.#shown.takeLast(length)];
  }
}
