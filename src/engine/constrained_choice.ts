/** Chooses tokens from rows of logits among those that a constraint allows. */

import { confidenceOf } from "../denoise/confidence.ts";
import { gumbel } from "../denoise/noise.ts";
import type { Commit } from "../denoise/prediction.ts";

/** Tokens that are tried at a position, the best first. */
const TRIES = 64;

/** The noise of a step; none at temperature 0. */
export interface StepNoise {
  readonly temperature: number;
  readonly seed: number;
  readonly step: number;
}

/**
 * The allowed token with the largest `logit + temperature * gumbel` among the best 64, ties to the
 * lower id, and its noise-free probability among all tokens, allowed or not. None if the constraint
 * allows none of them: then the model knows nothing of use about the position yet.
 * @param logits `[vocabulary]`
 * @param position absolute position, which also keys the noise
 */
export function chooseAllowed(
  logits: Float32Array,
  position: number,
  allows: (token: number) => boolean,
  noise: StepNoise,
): Commit | undefined {
  const score = scoreOf(logits, position, noise);
  const best: { token: number; score: number }[] = [];
  for (let token = 0; token < logits.length; token++) {
    const own = score(token);
    if (best.length === TRIES && !(own > best[TRIES - 1].score)) continue;
    let at = best.length;
    while (at > 0 && own > best[at - 1].score) at--;
    best.splice(at, 0, { token, score: own });
    if (best.length > TRIES) best.pop();
  }
  const found = best.find(({ token }) => allows(token));
  return found && commitOf(logits, position, found.token);
}

/** The best of the tokens that are allowed, as {@linkcode chooseAllowed} would take it. */
export function chooseOf(
  tokens: readonly number[],
  logits: Float32Array,
  position: number,
  noise: StepNoise,
): Commit {
  const score = scoreOf(logits, position, noise);
  let [best] = tokens;
  for (const token of tokens) if (score(token) > score(best)) best = token;
  return commitOf(logits, position, best);
}

function scoreOf(
  logits: Float32Array,
  position: number,
  { temperature, seed, step }: StepNoise,
): (token: number) => number {
  if (temperature === 0) return (token) => logits[token];
  return (token) => logits[token] + temperature * gumbel(seed, step, position, token);
}

function commitOf(logits: Float32Array, position: number, token: number): Commit {
  const { confidence, logProbability } = confidenceOf(logits, token, NOTHING);
  return { position, token, confidence, logProbability };
}

const NOTHING: ReadonlySet<number> = new Set();
