/** The tokens of an answer with their log-probabilities, in the order of the text. */

import type { Commit, ScoredToken } from "../denoise/predictor.ts";
import { ShownTokens } from "../text/shown_tokens.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { AnswerToken, LikelyToken } from "./request.ts";

/** Collects the tokens of one answer. */
export class AnswerTokens {
  readonly #tokenizer: Pick<TextTokenizer, "tokenText" | "tokenBytes">;
  readonly #shown: ShownTokens<AnswerToken>;
  readonly #taken: AnswerToken[] = [];

  constructor(tokenizer: Pick<TextTokenizer, "tokenText" | "tokenBytes">) {
    this.#tokenizer = tokenizer;
    this.#shown = new ShownTokens(tokenizer);
  }

  /** Adds a step's commits; `promptLength` is taken from their positions. */
  commit(step: number, commits: readonly Commit[], promptLength: number): void {
    for (const { position, token, logProbability, scores } of commits) {
      const place = position - promptLength;
      this.#shown.commit(place, token, {
        ...this.#likely({ token, logProbability: scores?.logProbability ?? logProbability }),
        position: place,
        step,
        likeliest: scores?.likeliest.map((one) => this.#likely(one)) ?? [],
      });
    }
  }

  #likely({ token, logProbability }: ScoredToken): LikelyToken {
    const { tokenText, tokenBytes } = this.#tokenizer;
    return {
      token,
      text: tokenText.call(this.#tokenizer, token),
      bytes: [...tokenBytes.call(this.#tokenizer, token)],
      logProbability,
    };
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
