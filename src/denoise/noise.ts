/**
 * Chooses a token from a row of logits, with seeded noise, and computes its confidence. The noise
 * is a pure function of seed, step, position and token, so it does not depend on what else runs.
 * `shaders/lib/noise.wgsl` is the same code on the GPU.
 */

import { confidenceOf, uncertaintyOf } from "./confidence.ts";
import { NO_TOKEN, type Prediction, type TokenChoice } from "./prediction.ts";

/** Used as token in the key of {@linkcode randomRank}; no vocabulary is this large. */
const RANK_SLOT = 0xffffffff;

/**
 * 32 random bits keyed by four integers: one output word of pcg4d (Jarzynski and Olano 2020, "Hash
 * Functions for GPU Rendering", JCGT 9(3)) on the words token, position, step and the low 32 bits of
 * the seed. The seed's higher bits go into the upper halves of step and position, so that no two
 * keys give the same four words while step and position are below 2^16.
 * @param seed integer in [0, 2^53)
 * @param token integer in [0, 2^32)
 * @returns integer in [0, 2^32)
 */
export function hash(seed: number, step: number, position: number, token: number): number {
  const seedHigh = Math.floor(seed / 2 ** 32);
  let x = Math.imul(token, 1664525) + 1013904223 | 0;
  let y = Math.imul(position ^ (seedHigh & 0xffff0000), 1664525) + 1013904223 | 0;
  let z = Math.imul(step ^ (seedHigh << 16), 1664525) + 1013904223 | 0;
  let w = Math.imul(seed >>> 0, 1664525) + 1013904223 | 0;
  x = x + Math.imul(y, w) | 0;
  y = y + Math.imul(z, x) | 0;
  z = z + Math.imul(x, y) | 0;
  w = w + Math.imul(y, z) | 0;
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  w ^= w >>> 16;
  x = x + Math.imul(y, w) | 0;
  y = y + Math.imul(z, x) | 0;
  z = z + Math.imul(x, y) | 0;
  w = w + Math.imul(y, z) | 0;
  return w >>> 0;
}

/** The bits of {@linkcode hash} as a number in (0, 1): the middle of one of 2^32 equal intervals. */
export function uniform(bits: number): number {
  return (bits + 0.5) / 2 ** 32;
}

/**
 * Standard Gumbel noise, `-ln(-ln u)` with `u = 1 - v` and v the uniform number of the key. The large
 * values, which decide the choice, come from small v, where f32 has the finest steps.
 */
export function gumbel(seed: number, step: number, position: number, token: number): number {
  return -Math.log(-Math.log1p(-uniform(hash(seed, step, position, token))));
}

/** Rank of a position when remasking is `random`, 24 bits, exact in f32; the lowest goes first. */
export function randomRank(seed: number, step: number, position: number): number {
  return hash(seed, step, position, RANK_SLOT) >>> 8;
}

/**
 * Chooses the token with the largest `logit - temperature * ln(-ln u)`, ties to the lower id: a
 * sample of `softmax(logits / temperature)` (`add_gumbel_noise` and argmax in the published code).
 * @param logits `[vocabulary]`
 * @param uniform u in (0, 1), `[vocabulary]`; not used when the temperature is 0
 * @throws {RangeError} when no score is above -inf
 */
export function sampleToken(
  logits: ArrayLike<number>,
  uniform: ArrayLike<number>,
  temperature: number,
): number {
  if (temperature === 0) return argmax(logits.length, (token) => logits[token]);
  return argmax(
    logits.length,
    (token) => logits[token] - temperature * Math.log(-Math.log(uniform[token])),
  );
}

/**
 * Reduces one row of logits to a prediction. This is the reference of the head kernel.
 *
 * It chooses the largest `logit + temperature * gumbel` without banned tokens, ties to the lower
 * id. The confidence has no noise: it is p within the softmax over all tokens that are neither
 * banned nor unconfident. With m the largest logit there and `s = sum of exp(l - m)` over all
 * tokens but the first with logit m, `(1 - p) / p = s + (1 + s) expm1(m - l)`, which stays precise
 * where p rounds to 1. Positions are ranked by it, or by another measure of confidence if `choice`
 * names one.
 * @param logits `[vocabulary]`
 * @param judged a token whose probability is also wanted, as in `ForwardInput`
 * @throws {RangeError} when every token is banned
 */
export function predictRow(
  logits: Float32Array | Float64Array,
  position: number,
  choice: TokenChoice,
  judged: number = NO_TOKEN,
): Prediction {
  const { temperature, seed, step } = choice;
  const banned = new Set(choice.bannedTokens);
  const token = argmax(logits.length, (token) => {
    if (banned.has(token)) return -Infinity;
    if (temperature === 0) return logits[token];
    return logits[token] + temperature * gumbel(seed, step, position, token);
  });
  const hidden = new Set([...choice.bannedTokens, ...choice.unconfidentTokens]);
  const prediction = {
    position,
    token,
    ...confidenceOf(logits, token, hidden),
    uncertainty: uncertaintyOf(logits, token, hidden, choice.measure),
  };
  if (judged === NO_TOKEN) return prediction;
  return { ...prediction, judgedConfidence: confidenceOf(logits, judged, hidden).confidence };
}

/** The first index of the largest score. */
function argmax(length: number, score: (index: number) => number): number {
  let best = -1;
  let bestScore = -Infinity;
  for (let i = 0; i < length; i++) {
    const value = score(i);
    if (value > bestScore) {
      best = i;
      bestScore = value;
    }
  }
  if (best < 0) {
    throw new RangeError(
      `no token of ${length} can be chosen: every logit is -inf, not a number, or banned`,
    );
  }
  return best;
}
