/** Chooses tokens among those that a constraint allows. */

import { confidenceWithin } from "../denoise/confidence.ts";
import { gumbel } from "../denoise/noise.ts";
import type { Commit } from "../denoise/prediction.ts";
import type { RankChoice, RankedRow } from "../model/ranked_pass.ts";

/** How tokens of a step are chosen: its noise (none at temperature 0), and its sampling. */
export type StepChoice = RankChoice;

/**
 * The allowed token with the largest `logit + temperature * gumbel` among the best of a row, ties to
 * the lower id, and its noise-free probability among all tokens, allowed or not. Logits are changed as
 * the sampling says. A token that its filters leave out is only chosen if the constraint allows no
 * other of these. None if it allows none of them: then the model knows nothing of use about the
 * position yet.
 */
export function chooseAllowed(
  row: RankedRow,
  allows: (token: number) => boolean,
  choice: StepChoice,
): Commit | undefined {
  const isAllowed = ({ token }: { readonly token: number }) => allows(token);
  const found = row.passing?.find(isAllowed) ?? row.ranked.find(isAllowed);
  return found && commitOf(row, found, choice);
}

/**
 * The best of the tokens that are allowed, as {@linkcode chooseAllowed} would take it.
 * @param logits of the row, as the model gives them, `[vocabulary]`
 */
export function chooseOf(
  tokens: readonly number[],
  row: RankedRow,
  logits: Float32Array,
  choice: StepChoice,
): Commit {
  const { temperature, seed, step, sampling } = choice;
  const changes = new Map(sampling?.changes.map((change) => [change.token, change]));
  const scored = tokens.map((token) => {
    const raw = logits[token];
    const { repetition = 1, offset = 0 } = changes.get(token) ?? {};
    const logit = Math.fround((raw > 0 ? raw / repetition : raw * repetition) + offset);
    const noise = temperature === 0 ? 0 : temperature * gumbel(seed, step, row.position, token);
    return { token, raw, logit, score: logit + noise };
  });
  const best = scored.reduce((best, one) => one.score > best.score ? one : best);
  return commitOf(row, best, choice);
}

function commitOf(
  { position, softmax, rawSoftmax, likeliest }: RankedRow,
  { token, logit, raw }: { readonly token: number; readonly logit: number; readonly raw: number },
  { sampling }: StepChoice,
): Commit {
  const { confidence, logProbability } = confidenceWithin(softmax, logit);
  if (sampling?.likeliest === undefined) return { position, token, confidence, logProbability };
  const scores = { logProbability: confidenceWithin(rawSoftmax, raw).logProbability, likeliest };
  return { position, token, confidence, logProbability, scores };
}
