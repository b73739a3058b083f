/** Ranks tokens by their logits on the GPU, for choices that the host makes among the best. */

import type { ScoredToken, TokenChoice } from "../denoise/predictor.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { logitCutoff } from "../kernels/logit_cutoff.ts";
import { MOST_RANKED, RANKED_WORDS, rankTokens } from "../kernels/rank_tokens.ts";
import { NO_TOKEN } from "../kernels/step_plan.ts";
import { recordLogits } from "./logits.ts";
import type { ModelConfig } from "./model_config.ts";
import { normAsked, type PredictionContext, uploadScratch } from "./prediction_pass.ts";
import { recordChanges, sampledRows, uploadChanges } from "./sampled_pass.ts";

/**
 * Tokens that are tried at a constrained position, the best first. They are all that is read back of
 * a row, but for the first one: which tokens a position may take depends on all states that it may
 * stand behind, so that a list of them, or a bitmap of the vocabulary, costs more to make than to try
 * these: 2.8 ms a position instead of 0.03, with 2048 tokens and a schema of two texts and a number.
 */
export const TRIES = 64;

/** Words of 4 bytes from a piece's rows to the next one's: a binding may begin at 256 bytes. */
const PIECE = 64;

/** What scores are made of: the noise, and changes and filters of logits. */
export type RankChoice = Pick<TokenChoice, "temperature" | "seed" | "step" | "sampling">;

/** A token among the best of a row. */
export interface RankedLogit {
  readonly token: number;
  /** Changed logit plus noise, which ranks it. */
  readonly score: number;
  /** Changed logit. */
  readonly logit: number;
  /** Logit as the model gives it. */
  readonly raw: number;
}

/** A softmax: its largest logit, and the sum of `exp(l - max)` over all tokens but one with it. */
export interface RowSoftmax {
  readonly max: number;
  readonly others: number;
}

/** The best tokens of a row, and its softmax. */
export interface RankedRow {
  /** Absolute position, which also keys the noise. */
  readonly position: number;
  /** Best first, ties to the lower id. */
  readonly ranked: readonly RankedLogit[];
  /** Of those that pass the filters, where there are filters. */
  readonly passing?: readonly RankedLogit[];
  /** Of changed logits. */
  readonly softmax: RowSoftmax;
  /** Of logits as the model gives them. */
  readonly rawSoftmax: RowSoftmax;
  /** The likeliest tokens of these, if the sampling asks for them. */
  readonly likeliest: readonly ScoredToken[];
}

/** The rows that one question ranks. */
export interface Ranking {
  /** In the order in which they were asked. */
  readonly rows: readonly RankedRow[];
  /** All logits of the first of them, as the model gives them, `[vocabulary]`. */
  readonly firstLogits: Float32Array;
}

/** Rows of hidden states, and how their tokens are ranked. */
export interface RankQuestion {
  readonly rows: readonly number[];
  /** `[rows]`, which key the noise. */
  readonly positions: Uint32Array;
  readonly choice: RankChoice;
  /** Tokens of each row. */
  readonly k: number;
}

/** @throws {RangeError} when so many tokens cannot be ranked */
export function checkRanked(k: number): void {
  if (Number.isInteger(k) && k >= 1 && k <= MOST_RANKED) return;
  throw new RangeError(`k is ${k}, expected a whole number from 1 to ${MOST_RANKED}`);
}

/** Words that a ranking leaves of its rows: sums, best tokens, those that pass, the likeliest. */
function wordsOf({ rows, choice: { sampling }, k }: RankQuestion): readonly number[] {
  const { topK, topP, minP, likeliest = 0 } = sampling ?? {};
  const filters = topK !== undefined || topP !== undefined || minP !== undefined;
  return [1, k, filters ? k : 0, likeliest].map((each) => RANKED_WORDS * each * rows.length);
}

/** Words that a ranking leaves to be read back: those of its rows, behind the first one's logits. */
export function rankedWords(question: RankQuestion, { embeddingSize }: ModelConfig): number {
  return wordsOf(question).reduce((sum, words) => sum + words, embeddingSize);
}

/**
 * Records the rankings of rows, in pieces whose logits are in memory together. Its data is uploaded at
 * once: what was recorded with other data must be submitted before.
 * @param to `[rankedWords]`, where {@linkcode rankingOf} finds them
 */
export function recordRanking(
  context: PredictionContext,
  hidden: Tensor,
  question: RankQuestion,
  to: Tensor,
): void {
  const { recorder, scratch, config, weights } = context;
  const { rows, positions, choice, k } = question;
  const { temperature, seed, step, sampling } = choice;
  const columns = weights.head.columns;
  const { topK, topP, minP, changes = [], likeliest = 0 } = sampling ?? {};
  const most = sampledRows(context);
  const index = uploadScratch(context, "ranked rows", spread(rows, most));
  const places = uploadScratch(context, "ranked positions", spread(positions, most));
  const adjustments = uploadChanges(context, { changes });
  const words = wordsOf(question);
  const names = ["row sums", "ranked", "ranked, filtered", "ranked, likeliest"];
  const found = names.map((name, i) => words[i] > 0 ? scratch.get(name, words[i]) : undefined);
  const [sums, best, passing, top] = found;
  for (let first = 0; first < rows.length; first += most) {
    const count = Math.min(most, rows.length - first);
    const part = (tensor: Tensor, each: number) => tensor.window(each * first, each * most);
    const piece = (tensor: Tensor) => tensor.window(PIECE * first / most, PIECE);
    const raw = recordLogits(context, normAsked(context, hidden, piece(index), count), count);
    if (first === 0) recorder.copy(raw, to, 4 * config.embeddingSize);
    const logits = recordChanges(context, raw, count, adjustments, { changes });
    const shared = { positions: piece(places), sums: part(sums!, RANKED_WORDS) };
    const asked = { rows: count, columns, temperature, seed, step };
    const rank = (to: Tensor, k: number, of: { logits: Tensor; cutoffs?: Tensor }, noise = true) =>
      rankTokens(
        recorder,
        { raw, ...of, ...shared, ranked: part(to, RANKED_WORDS * k) },
        { ...asked, k, temperature: noise ? temperature : 0 },
      );
    // The last ranking leaves the sums of changed logits.
    if (top) rank(top, likeliest, { logits: raw }, false);
    if (passing) {
      const cutoffs = scratch.get("cutoffs", most);
      logitCutoff(recorder, logits, cutoffs, { rows: count, columns, topK, topP, minP });
      rank(passing, k, { logits, cutoffs });
    }
    rank(best!, k, { logits });
  }
  let end = config.embeddingSize;
  for (const [i, tensor] of found.entries()) {
    if (tensor) recorder.copy(tensor, to.part(end, words[i]), 4 * words[i]);
    end += words[i];
  }
}

/** The ranking, from the bytes that were read back. @param first byte at which it begins */
export function rankingOf(
  bytes: ArrayBuffer,
  question: RankQuestion,
  { embeddingSize }: ModelConfig,
  first: number,
): Ranking {
  const { positions, choice: { sampling }, k } = question;
  const firstLogits = new Float32Array(bytes, first, embeddingSize);
  first += 4 * embeddingSize;
  const parts = wordsOf(question).map((words) => {
    const part = new Uint32Array(bytes, first, words);
    first += 4 * words;
    return part;
  });
  const [sums, best, passing, top] = parts;
  const found = new Float32Array(sums.buffer, sums.byteOffset, sums.length);
  const likeliest = sampling?.likeliest ?? 0;
  const rows = Array.from(positions, (position, row): RankedRow => {
    const [max, others, rawMax, rawOthers] = found.subarray(RANKED_WORDS * row);
    const rest = Math.log1p(rawOthers);
    return {
      position,
      ranked: rankedOf(best, row, k, embeddingSize),
      ...passing.length > 0 && { passing: rankedOf(passing, row, k, embeddingSize) },
      softmax: { max, others },
      rawSoftmax: { max: rawMax, others: rawOthers },
      likeliest: rankedOf(top, row, likeliest, embeddingSize).map(({ token, raw }) => ({
        token,
        logProbability: raw - rawMax - rest,
      })),
    };
  });
  return { rows, firstLogits };
}

/** Words of rows, those of each piece where a binding may begin. */
function spread(words: ArrayLike<number>, rows: number): Uint32Array<ArrayBuffer> {
  const spread = new Uint32Array(PIECE * Math.ceil(words.length / rows));
  for (let i = 0; i < words.length; i++) {
    spread[PIECE * Math.floor(i / rows) + i % rows] = words[i];
  }
  return spread;
}

function rankedOf(ids: Uint32Array, row: number, k: number, tokens: number): RankedLogit[] {
  const values = new Float32Array(ids.buffer, ids.byteOffset, ids.length);
  const all = Array.from({ length: k }, (_, i) => {
    const at = RANKED_WORDS * (row * k + i);
    return { token: ids[at], score: values[at + 1], logit: values[at + 2], raw: values[at + 3] };
  });
  return all.filter(({ token }) => token !== NO_TOKEN && token < tokens);
}
