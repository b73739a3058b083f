/** Reference of a row's ranking: every token's score, sorted. */

import { confidenceOf } from "../../src/denoise/confidence.ts";
import { gumbel } from "../../src/denoise/noise.ts";
import type { RankChoice, RankedLogit, RankedRow } from "../../src/model/ranked_pass.ts";

const NOTHING: ReadonlySet<number> = new Set();

/** Ranks the tokens of a row of logits. @param raw `[vocabulary]` */
export function rankRow(
  raw: Float32Array,
  position: number,
  { temperature, seed, step, sampling }: RankChoice,
  k: number,
): RankedRow {
  const logits = raw.slice();
  for (const { token, repetition, offset } of sampling?.changes ?? []) {
    const logit = raw[token];
    logits[token] = (logit > 0 ? logit / repetition : logit * repetition) + offset;
  }
  const scored = Array.from(logits, (logit, token): RankedLogit => {
    const noise = temperature === 0 ? 0 : temperature * gumbel(seed, step, position, token);
    return { token, raw: raw[token], logit, score: logit + noise };
  }).filter(({ logit }) => logit > -Infinity);
  const best = (of: readonly RankedLogit[]) =>
    of.toSorted((a, b) => b.score - a.score || a.token - b.token).slice(0, k);
  const { topK, topP, minP, likeliest = 0 } = sampling ?? {};
  const filtered = topK !== undefined || topP !== undefined || minP !== undefined;
  const cutoff = cutoffOf(logits, sampling);
  const { logSumExp } = confidenceOf(raw, 0, NOTHING);
  return {
    position,
    ranked: best(scored),
    ...filtered && { passing: best(scored.filter(({ logit }) => logit >= cutoff)) },
    softmax: softmaxOf(logits),
    rawSoftmax: softmaxOf(raw),
    likeliest: scored.toSorted((a, b) => b.raw - a.raw || a.token - b.token)
      .slice(0, likeliest)
      .map(({ token, raw }) => ({ token, logProbability: raw - logSumExp })),
  };
}

function softmaxOf(logits: Float32Array): RankedRow["softmax"] {
  const max = Math.max(...logits);
  const peak = logits.indexOf(max);
  const others = logits.reduce((sum, l, i) => i === peak ? sum : sum + Math.exp(l - max), 0);
  return { max, others };
}

/** The least logit that passes the filters; -Infinity without any. */
function cutoffOf(logits: Float32Array, sampling: RankChoice["sampling"]): number {
  const { topK, topP, minP } = sampling ?? {};
  const sorted = logits.toSorted().reverse();
  let cutoff = topK === undefined ? -Infinity : sorted[Math.min(topK, sorted.length) - 1];
  if (minP !== undefined) cutoff = Math.max(cutoff, sorted[0] + Math.log(minP));
  if (topP === undefined) return cutoff;
  const kept = topK === undefined ? sorted : sorted.filter((logit) => logit >= cutoff);
  const weights = Array.from(kept, (logit) => Math.exp(logit - sorted[0]));
  let left = topP * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left <= 0) return Math.max(cutoff, kept[i]);
  }
  return cutoff;
}
