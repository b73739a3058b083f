/** Chooses tokens from rows of logits among those that a constraint allows. */

import { confidenceOf } from "../denoise/confidence.ts";
import { gumbel } from "../denoise/noise.ts";
import type { Commit, TokenSampling, TokenScores } from "../denoise/prediction.ts";

/** Tokens that are tried at a position, the best first. */
const TRIES = 64;

/** How tokens of a step are chosen: its noise (none at temperature 0), and its sampling. */
export interface StepChoice {
  readonly temperature: number;
  readonly seed: number;
  readonly step: number;
  readonly sampling?: TokenSampling;
}

/** A row of logits, `[vocabulary]`, and its absolute position, which also keys the noise. */
export interface LogitRow {
  readonly logits: Float32Array;
  readonly position: number;
}

/**
 * The allowed token with the largest `logit + temperature * gumbel` among the best 64, ties to the
 * lower id, and its noise-free probability among all tokens, allowed or not. Logits are changed as
 * the sampling says. A token that its filters leave out is only chosen if the constraint allows no
 * other of these. None if it allows none of them: then the model knows nothing of use about the
 * position yet.
 */
export function chooseAllowed(
  { logits: raw, position }: LogitRow,
  allows: (token: number) => boolean,
  choice: StepChoice,
): Commit | undefined {
  const logits = changed(raw, choice.sampling);
  const score = scoreOf(logits, position, choice);
  const cutoff = cutoffOf(logits, choice.sampling);
  const passing = best(logits.length, (token) => logits[token] < cutoff ? -Infinity : score(token));
  const found = passing.find(allows) ??
    (cutoff === -Infinity ? undefined : best(logits.length, score).find(allows));
  return found === undefined ? undefined : commitOf(raw, logits, position, found, choice.sampling);
}

/** The best of the tokens that are allowed, as {@linkcode chooseAllowed} would take it. */
export function chooseOf(
  tokens: readonly number[],
  { logits: raw, position }: LogitRow,
  choice: StepChoice,
): Commit {
  const logits = changed(raw, choice.sampling);
  const score = scoreOf(logits, position, choice);
  let [chosen] = tokens;
  for (const token of tokens) if (score(token) > score(chosen)) chosen = token;
  return commitOf(raw, logits, position, chosen, choice.sampling);
}

/** The tokens of the largest scores, largest first; none whose score is -Infinity. */
function best(length: number, score: (token: number) => number, most = TRIES): number[] {
  const found: { token: number; score: number }[] = [];
  for (let token = 0; token < length; token++) {
    const own = score(token);
    if (!(own > (found.length === most ? found[most - 1].score : -Infinity))) continue;
    let at = found.length;
    while (at > 0 && own > found[at - 1].score) at--;
    found.splice(at, 0, { token, score: own });
    if (found.length > most) found.pop();
  }
  return found.map(({ token }) => token);
}

function scoreOf(
  logits: Float32Array,
  position: number,
  { temperature, seed, step }: StepChoice,
): (token: number) => number {
  if (temperature === 0) return (token) => logits[token];
  return (token) => logits[token] + temperature * gumbel(seed, step, position, token);
}

/** Logits with the changes of penalties and biases. */
function changed(logits: Float32Array, sampling: TokenSampling | undefined): Float32Array {
  if (!sampling || sampling.changes.length === 0) return logits;
  const copy = logits.slice();
  for (const { token, repetition, offset } of sampling.changes) {
    const logit = copy[token];
    copy[token] = (logit > 0 ? logit / repetition : logit * repetition) + offset;
  }
  return copy;
}

/** The least logit that passes the filters; -Infinity without any. */
function cutoffOf(logits: Float32Array, sampling: TokenSampling | undefined): number {
  const { topK, topP, minP } = sampling ?? {};
  if (topK === undefined && topP === undefined && minP === undefined) return -Infinity;
  const sorted = logits.toSorted().reverse();
  let cutoff = topK === undefined ? -Infinity : sorted[Math.min(topK, sorted.length) - 1];
  if (minP !== undefined) cutoff = Math.max(cutoff, sorted[0] + Math.log(minP));
  if (topP === undefined) return cutoff;
  const kept = topK === undefined ? sorted : sorted.subarray(0, topK);
  const weights = Array.from(kept, (logit) => Math.exp(logit - sorted[0]));
  let left = topP * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left <= 0) return Math.max(cutoff, kept[i]);
  }
  return cutoff;
}

function commitOf(
  raw: Float32Array,
  logits: Float32Array,
  position: number,
  token: number,
  sampling: TokenSampling | undefined,
): Commit {
  const { confidence, logProbability } = confidenceOf(logits, token, NOTHING);
  const scores = sampling?.likeliest === undefined
    ? undefined
    : scoresOf(raw, token, sampling.likeliest);
  return { position, token, confidence, logProbability, ...scores && { scores } };
}

/** Log-softmax of the token and of the likeliest ones, of logits as the model gives them. */
function scoresOf(raw: Float32Array, token: number, count: number): TokenScores {
  const { logProbability, logSumExp } = confidenceOf(raw, token, NOTHING);
  const likeliest = count === 0 ? [] : best(raw.length, (one) => raw[one], count);
  return {
    logProbability,
    likeliest: likeliest.map((one) => ({ token: one, logProbability: raw[one] - logSumExp })),
  };
}

const NOTHING: ReadonlySet<number> = new Set();
