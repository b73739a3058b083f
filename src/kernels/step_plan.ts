/** Host side of shaders/lib/step_plan.wgsl: the byte layout of structs that kernels share. */

/** Words of 4 bytes in a `StepPlan`. */
export const STEP_PLAN_WORDS = 16;
/** Words of 4 bytes in an `Asked`. */
export const ASKED_WORDS = 4;
/** Tokens that a list inside one of the structs can hold. */
export const LIST_TOKENS = 4;

/** Marks the absence of a token. */
export const NO_TOKEN = 0xffffffff;

/**
 * The shaders' numbers of the measures of confidence. Every measure of src/denoise must have a
 * number here, or code that makes plans does not compile: the logits stay on the GPU, so a measure
 * cannot be computed elsewhere.
 */
export const MEASURES = { probability: 0, margin: 1, entropy: 2 } as const;
/** The default measure, which the head computes without further sums. */
const DEFAULT_MEASURE = "probability";

/** One sequence's part in one denoising step. */
export interface StepPlan {
  /** Masked rows in `[candidateFirst, candidateEnd)` of the sequence may be committed. */
  readonly candidateFirst: number;
  readonly candidateEnd: number;
  /** Limit of rows to commit. */
  readonly commits: number;
  readonly step: number;
  readonly temperature: number;
  /** Integer in [0, 2^53). */
  readonly seed: number;
  readonly banned: readonly number[];
  readonly unconfident: readonly number[];
  /** Measure of confidence that ranks rows; default `probability`. */
  readonly measure?: keyof typeof MEASURES;
}

/** Whether the head must compute more sums than the probability needs. */
export function isMeasured({ measure = DEFAULT_MEASURE }: Pick<StepPlan, "measure">): boolean {
  return measure !== DEFAULT_MEASURE;
}

/** @throws {RangeError} naming `what` when a list is longer than a struct can hold */
export function checkTokens(tokens: readonly number[], what: string): void {
  if (tokens.length > LIST_TOKENS) {
    throw new RangeError(`${what}: ${tokens.length} tokens, at most ${LIST_TOKENS} are possible`);
  }
}

/** Writes a list at word `at`. @throws {RangeError} naming `what` when it is longer than 4 */
export function writeTokens(
  words: Uint32Array,
  at: number,
  tokens: readonly number[],
  what: string,
): void {
  checkTokens(tokens, what);
  for (let i = 0; i < LIST_TOKENS; i++) words[at + i] = tokens[i] ?? NO_TOKEN;
}

/** Writes a plan at word `at`. @throws {RangeError} when a token list is longer than 4 */
export function writeStepPlan(words: Uint32Array<ArrayBuffer>, at: number, plan: StepPlan): void {
  words[at] = plan.candidateEnd;
  words[at + 1] = plan.commits;
  words[at + 2] = plan.step;
  new Float32Array(words.buffer, words.byteOffset)[at + 3] = plan.temperature;
  words[at + 4] = plan.seed >>> 0;
  words[at + 5] = Math.floor(plan.seed / 2 ** 32);
  words[at + 6] = plan.candidateFirst;
  words[at + 7] = MEASURES[plan.measure ?? DEFAULT_MEASURE];
  writeTokens(words, at + 8, plan.banned, "bannedTokens");
  writeTokens(words, at + 12, plan.unconfident, "unconfidentTokens");
}
