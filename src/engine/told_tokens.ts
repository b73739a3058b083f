/** Tokens as events tell of them. */

/** A token fixed at a position of the generation. */
export interface CommittedToken {
  /** Position in the generation, from 0. */
  readonly position: number;
  /** Token id. */
  readonly token: number;
  /** The token alone as text (U+FFFD where it is part of a character). */
  readonly text: string;
  /** Noise-free probability at the step that committed it. */
  readonly confidence: number;
  /** Natural logarithm of that probability. */
  readonly logProbability: number;
}

/** A token of an answer that its deadline ended. */
export interface DeadlineToken extends CommittedToken {
  /** Whether it was only the likeliest token at the deadline, and not committed. */
  readonly provisional: boolean;
}

/** A token and its log-softmax at a position. */
export interface LikelyToken {
  /** Token id. */
  readonly token: number;
  /** The token alone as text (U+FFFD where it is part of a character). */
  readonly text: string;
  /** UTF-8 bytes that it adds to the text. */
  readonly bytes: readonly number[];
  /** Log-softmax over all tokens, of the logits as the model gives them. */
  readonly logProbability: number;
}

/** A token of the answer's text. */
export interface AnswerToken extends LikelyToken {
  /** Position in the generation, from 0. */
  readonly position: number;
  /** Index of the denoising step that committed it; its log-probabilities are of this step. */
  readonly step: number;
  /** The likeliest tokens there at that step, the first first. */
  readonly likeliest: readonly LikelyToken[];
}
