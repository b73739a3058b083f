/** Sampling in plain loops over 64-bit floats, by sorting: the oracle of the tests. */

import { predictRow } from "../../src/denoise/noise.ts";
import { NO_TOKEN, type Prediction, type TokenChoice } from "../../src/denoise/predictor.ts";

/** A row's logits after penalties and biases, -Infinity for a banned token. */
export function changedLogits(logits: Float64Array, choice: TokenChoice): Float64Array {
  const changed = logits.slice();
  for (const { token, repetition, offset } of choice.sampling?.changes ?? []) {
    const logit = logits[token];
    changed[token] = (logit > 0 ? logit / repetition : logit * repetition) + offset;
  }
  for (const token of choice.bannedTokens) changed[token] = -Infinity;
  return changed;
}

/** The tokens that pass a row's filters. @param slack moves every border by this share */
export function passing(
  changed: Float64Array,
  { topK = Infinity, topP = 1, minP = 0 }: NonNullable<TokenChoice["sampling"]>,
  slack = 0,
): number[] {
  const order = Array.from(changed.keys())
    .filter((token) => changed[token] > -Infinity)
    .sort((a, b) => changed[b] - changed[a] || a - b);
  const [best] = order;
  const p = (token: number) => Math.exp(changed[token] - changed[best]);
  const kept = order.filter((token, i) => i < topK || changed[token] === changed[order[topK - 1]]);
  const total = kept.reduce((sum, token) => sum + p(token), 0);
  let before = 0;
  let last = NaN;
  const likely = kept.filter((token) => {
    const passes = token === best || before < topP * total * (1 + slack) || changed[token] === last;
    before += p(token);
    if (passes) last = changed[token];
    return passes;
  });
  return topP >= 1 ? kept.filter(least) : likely.filter((token) => token === best || least(token));

  function least(token: number): boolean {
    return p(token) >= minP * (1 - slack);
  }
}

/**
 * Reduces one row of logits to a prediction, as `predictRow` does, with the choice's sampling.
 * @param logits as the model gives them, `[vocabulary]`
 */
export function sampledRow(
  logits: Float64Array,
  position: number,
  choice: TokenChoice,
  judged: number = NO_TOKEN,
): Prediction {
  const { sampling } = choice;
  if (sampling === undefined) return predictRow(logits, position, choice, judged);
  const changed = changedLogits(logits, choice);
  const chosen = new Set(passing(changed, sampling));
  const { token } = predictRow(
    changed.map((logit, token) => chosen.has(token) ? logit : -Infinity),
    position,
    choice,
  );
  // Its confidence is within the softmax over all tokens, whatever passes.
  const whole = predictRow(changed, position, { ...choice, temperature: 0 }, token);
  const unconfident = choice.unconfidentTokens.includes(token);
  const confidence = unconfident ? 0 : whole.judgedConfidence!;
  const isProbability = (choice.measure ?? "probability") === "probability";
  const oddsAgainst = 1 / confidence - 1;
  const most = logits.reduce((a, b) => Math.max(a, b));
  const logSum = most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return {
    ...whole,
    token,
    confidence,
    oddsAgainst,
    uncertainty: unconfident ? Infinity : isProbability ? oddsAgainst : whole.uncertainty,
    logProbability: Math.log(confidence),
    judgedConfidence: undefined,
    ...sampling.likeliest !== undefined && {
      scores: {
        logProbability: logits[token] - logSum,
        likeliest: Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b)
          .slice(0, sampling.likeliest)
          .map((token) => ({ token, logProbability: logits[token] - logSum })),
      },
    },
  };
}
