/** Chooses tokens from rows of logits among those that a constraint allows. */

import { confidenceOf } from "../denoise/confidence.ts";
import { gumbel } from "../denoise/noise.ts";
import type { Commit } from "../denoise/prediction.ts";

/** Tokens that are tried before all allowed ones are listed. */
const TRIES = 8;

/** The noise of a step; none at temperature 0. */
export interface StepNoise {
  readonly temperature: number;
  readonly seed: number;
  readonly step: number;
}

/** Which tokens may stand at a position. */
export interface Allowing {
  allows(token: number): boolean;
  /** All tokens that may stand there: at least one. */
  all(): readonly number[];
}

/**
 * The allowed token with the largest `logit + temperature * gumbel`, ties to the lower id, and its
 * noise-free probability among all tokens, allowed or not.
 * @param logits `[vocabulary]`
 * @param position absolute position, which also keys the noise
 */
export function chooseAllowed(
  logits: Float32Array,
  position: number,
  allowing: Allowing,
  { temperature, seed, step }: StepNoise,
): Commit {
  const score = (token: number) =>
    temperature === 0
      ? logits[token]
      : logits[token] + temperature * gumbel(seed, step, position, token);
  const token = likeliest(logits.length, score, allowing) ?? largest(allowing.all(), score);
  const { confidence, logProbability } = confidenceOf(logits, token, NOTHING);
  return { position, token, confidence, logProbability };
}

const NOTHING: ReadonlySet<number> = new Set();

/** The first allowed one of the few best tokens of all. */
function likeliest(
  length: number,
  score: (token: number) => number,
  { allows }: Allowing,
): number | undefined {
  const best: { token: number; score: number }[] = [];
  for (let token = 0; token < length; token++) {
    const own = score(token);
    const last = best.at(-1);
    if (best.length === TRIES && !(own > last!.score)) continue;
    let at = best.length;
    while (at > 0 && own > best[at - 1].score) at--;
    best.splice(at, 0, { token, score: own });
    if (best.length > TRIES) best.pop();
  }
  return best.find(({ token }) => allows(token))?.token;
}

function largest(tokens: readonly number[], score: (token: number) => number): number {
  let best = tokens[0];
  let most = -Infinity;
  for (const token of tokens) {
    const own = score(token);
    if (!(own > most)) continue;
    most = own;
    best = token;
  }
  return best;
}
