/**
 * The Monte-Carlo bound of `log p(answer | prompt)` (LLaDA, arXiv 2502.09992, equation 6 and
 * algorithm 3): the masked cross-entropy of an answer with a random number of tokens masked, weighted
 * by how few those are. Its expectation is a lower bound of the log-likelihood.
 */

import { hash } from "../denoise/noise.ts";
import { type ForwardInput, GREEDY } from "../denoise/predictor.ts";
import type { Model } from "../model/model.ts";
import type { AnsweredPrompt } from "./draft_agreement.ts";

/** How a bound is estimated. */
export interface LikelihoodOptions {
  readonly maskTokenId: number;
  /** Batches, each with a random number of masks for its first row. */
  readonly batches: number;
  /** Rows of a batch, whose numbers of masks are spread evenly. */
  readonly batchSize: number;
  /** Scale of classifier-free guidance as in sampling (default: 0, none). */
  readonly cfgScale?: number;
  /** Seed of the masks, an integer in [0, 2^53) (default: 0). */
  readonly seed?: number;
}

/** The estimate of one answer. */
export interface Likelihood {
  /** Natural logarithm: minus the mean of `batchLosses`. */
  readonly logLikelihood: number;
  readonly batchLosses: readonly number[];
  /** Tokens of the answer. */
  readonly tokens: number;
}

/** What an estimate asks of a model. */
export type LikelihoodModel = Pick<Model, "predict" | "logitsAt">;

/** The least positive normal number of f32: devices may flush smaller ones to 0. */
const LEAST = 2 ** -126;

/**
 * Numbers of masks of a batch's rows: k and those that follow it at even distances, around the
 * answer's length. `x_j = round(k + j * length / batchSize)`, halves to even, then brought into
 * `[1, length]`.
 * @param k number of masks of the first row, in [1, answerLength]
 */
export function maskedCounts(answerLength: number, batchSize: number, k: number): number[] {
  return Array.from(
    { length: batchSize },
    (_, j) => (roundHalfEven(k + j * (answerLength / batchSize)) - 1) % answerLength + 1,
  );
}

function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  if (value - low === 0.5) return low + low % 2;
  return Math.round(value);
}

/** The rows of a batch with masks at random places, as a function of seed and batch. */
export function maskedRows(
  { prompt, answer }: AnsweredPrompt,
  batch: number,
  { maskTokenId, batchSize, seed = 0 }: Omit<LikelihoodOptions, "batches">,
): Uint32Array[] {
  const k = 1 + hash(seed, batch, 0, answer.length) % answer.length;
  return maskedCounts(answer.length, batchSize, k).map((count, row) => {
    const ids = Uint32Array.from([...prompt, ...answer]);
    const rank = Array.from(answer, (_, i) => hash(seed, batch, 1 + i, row));
    const order = [...rank.keys()].sort((a, b) => rank[a] - rank[b] || a - b);
    for (const i of order.slice(0, count)) ids[prompt.length + i] = maskTokenId;
    return ids;
  });
}

/**
 * The loss of a batch: the sum over its masked positions of `CE / p_mask`, divided by its rows.
 * `p_mask` is the masked share of the row's answer.
 * @param rows prompt and answer with masks, `[prompt + answer]` each
 * @throws {RangeError} when the model's probabilities are no numbers
 */
export async function batchLoss(
  model: LikelihoodModel,
  { prompt, answer }: AnsweredPrompt,
  rows: readonly Uint32Array[],
  { maskTokenId, cfgScale = 0 }: Pick<LikelihoodOptions, "maskTokenId" | "cfgScale">,
): Promise<number> {
  const asked = rows.map((ids) => {
    const positions = Uint32Array.from(
      [...ids.keys()].filter((i) => i >= prompt.length && ids[i] === maskTokenId),
    );
    const judged = positions.map((position) => answer[position - prompt.length]);
    const unconditionalIds = ids.slice().fill(maskTokenId, 0, prompt.length);
    const guidance = cfgScale > 0 ? { scale: cfgScale, unconditionalIds } : undefined;
    return { ids, positions, judged, guidance, choice: GREEDY };
  });
  let loss = 0;
  for (const [i, predictions] of (await model.predict(asked)).entries()) {
    const weight = answer.length / predictions.length;
    for (const [j, { judgedConfidence: probability = 0 }] of predictions.entries()) {
      loss -= weight *
        (probability < LEAST
          ? await smallLogProbability(model, asked[i], j)
          : Math.log(probability));
    }
  }
  if (!Number.isFinite(loss)) {
    throw new RangeError(
      `the loss of a masked answer is ${loss}, expected a finite number: the model's logits are none`,
    );
  }
  return loss / rows.length;
}

/** The logarithm of a judged token's probability that f32 does not hold, from all logits there. */
async function smallLogProbability(
  model: LikelihoodModel,
  { ids, judged, positions, guidance }: ForwardInput & { readonly judged: Uint32Array },
  at: number,
): Promise<number> {
  const position = positions.slice(at, at + 1);
  const given = await model.logitsAt({ ids, positions: position });
  const free = guidance &&
    await model.logitsAt({ ids: guidance.unconditionalIds, positions: position });
  // In f64, `free + (scale + 1) (given - free)` as in sampling.
  const logits = Float64Array.from(
    given,
    (logit, token) =>
      guidance && free ? free[token] + (guidance.scale + 1) * (logit - free[token]) : logit,
  );
  const most = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
  return logits[judged[at]] - most - Math.log(sum);
}

/** Estimates the bound of one answer. @throws {RangeError} when the answer is empty */
export async function likelihood(
  model: LikelihoodModel,
  example: AnsweredPrompt,
  options: LikelihoodOptions,
): Promise<Likelihood> {
  const tokens = example.answer.length;
  if (tokens === 0) throw new RangeError("the answer has no token, expected at least one");
  const batchLosses: number[] = [];
  for (let batch = 0; batch < options.batches; batch++) {
    batchLosses.push(
      await batchLoss(model, example, maskedRows(example, batch, options), options),
    );
  }
  const logLikelihood = -batchLosses.reduce((sum, loss) => sum + loss, 0) / options.batches;
  return { logLikelihood, batchLosses, tokens };
}

/** Figures of several answers together. */
export interface LikelihoodFigures {
  readonly examples: number;
  readonly tokens: number;
  /** Sum over the answers. */
  readonly logLikelihood: number;
  /** `exp(-logLikelihood / tokens)`: an upper bound in expectation, as the likelihood is a lower one. */
  readonly perplexity: number;
  /** Standard error of `logLikelihood`, from the spread of each answer's batches; NaN for one batch. */
  readonly standardError: number;
}

/** Adds up the estimates of several answers. */
export function likelihoodFigures(all: readonly Likelihood[]): LikelihoodFigures {
  const sum = (value: (one: Likelihood) => number) =>
    all.reduce((total, one) => total + value(one), 0);
  const logLikelihood = sum((one) => one.logLikelihood);
  const tokens = sum((one) => one.tokens);
  return {
    examples: all.length,
    tokens,
    logLikelihood,
    perplexity: Math.exp(-logLikelihood / tokens),
    standardError: Math.sqrt(sum(variance)),
  };
}

/** Variance of an estimate: that of its batches, divided by their number. */
function variance({ batchLosses, logLikelihood }: Likelihood): number {
  const n = batchLosses.length;
  return batchLosses.reduce((sum, loss) => sum + (loss + logLikelihood) ** 2, 0) / (n * (n - 1));
}
