/** A time by which the best text so far is wanted. */

import { GREEDY, type Predictor, type TokenChoice } from "../denoise/predictor.ts";
import { maskedPositions, type Sequence } from "../denoise/sequence.ts";
import { type CommittedToken, type DeadlineToken, RequestError } from "./request.ts";

/** What it takes from a request. @throws {RequestError} for a time that is no positive number */
export function checkDeadline(milliseconds: number | undefined): number | undefined {
  if (milliseconds === undefined || (milliseconds > 0 && Number.isFinite(milliseconds))) {
    return milliseconds;
  }
  throw new RequestError(
    "deadlineMs",
    `deadlineMs is ${milliseconds}, expected a number of milliseconds above 0`,
  );
}

/**
 * Knows when an answer must stop: while there is time for one more step and for the pass that fills
 * what is left, each as long as the step before.
 */
export class Deadline {
  readonly #at: number;
  #stepped = performance.now();
  #stepTime = 0;
  #came = false;

  /** @param milliseconds from `called`, by default now; absent: it never comes */
  constructor(milliseconds = Infinity, called: number = performance.now()) {
    this.#at = called + milliseconds;
  }

  /** Whether it came before the answer was done. */
  get came(): boolean {
    return this.#came;
  }

  /**
   * Starts the clock of the first step.
   * @param expected milliseconds that a step takes, as far as is known: Infinity if nothing is
   */
  start(expected: number): void {
    this.#stepped = performance.now();
    this.#stepTime = Number.isFinite(expected) ? expected : 0;
  }

  /** Tells that a step was made. */
  step(): void {
    const now = performance.now();
    this.#stepTime = now - this.#stepped;
    this.#stepped = now;
  }

  /** Whether to stop before the next step. */
  comes(): boolean {
    this.#came ||= performance.now() + 2 * this.#stepTime >= this.#at;
    return this.#came;
  }
}

/** The likeliest token at each undecided position, by one pass. They are no commits. */
export async function likeliest(
  sequence: Sequence,
  target: Predictor,
  choice: Partial<TokenChoice>,
): Promise<{ position: number; token: number; confidence: number; logProbability: number }[]> {
  const positions = maskedPositions(sequence, sequence.ids.length)
    .filter((position) => position >= sequence.promptLength);
  if (positions.length === 0) return [];
  const { ids, attentionMask } = sequence;
  const [found] = await target.predict([{
    ids,
    attentionMask,
    positions,
    choice: { ...GREEDY, ...choice },
  }]);
  return found.map(({ position, token, confidence, logProbability }) => ({
    position,
    token,
    confidence,
    logProbability,
  }));
}

/**
 * An answer's tokens in order.
 * @param placed commits, and from `sure` on the likeliest tokens
 */
export function tokensAtDeadline(
  placed: readonly CommittedToken[],
  sure: number,
  completionTokens: number,
): DeadlineToken[] {
  return placed.map((token, i) => ({ ...token, provisional: i >= sure }))
    .filter(({ position }) => position < completionTokens)
    .sort((a, b) => a.position - b.position);
}
