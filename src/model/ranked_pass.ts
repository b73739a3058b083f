/** Ranks tokens by their logits on the GPU, for choices that the host makes among the best. */

import type { ScoredToken, TokenChoice } from "../denoise/predictor.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { logitCutoff } from "../kernels/logit_cutoff.ts";
import { MOST_RANKED, RANKED_WORDS, rankTokens } from "../kernels/rank_tokens.ts";
import { NO_TOKEN } from "../kernels/step_plan.ts";
import { logitRows, PIECE, recordLogits, spread } from "./logits.ts";
import type { ModelConfig } from "./model_config.ts";
import { normAsked, type PredictionContext, uploadScratch } from "./prediction_pass.ts";
import type { Results } from "./results.ts";
import { recordChanges, uploadChanges } from "./sampled_pass.ts";

/**
 * Tokens that are tried at a constrained position, the best first. They are all that is read back of
 * a row, but for the first one: which tokens a position may take depends on all states that it may
 * stand behind, so that a list of them, or a bitmap of the vocabulary, costs more to make than to try
 * these: 2.8 ms a position instead of 0.03, with 2048 tokens and a schema of two texts and a number.
 */
export const TRIES = 64;

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

/** Words that a ranking leaves of a row: sums, best tokens, those that pass, the likeliest. */
function wordsOf({ choice: { sampling }, k }: RankQuestion): readonly number[] {
  const { topK, topP, minP, likeliest = 0 } = sampling ?? {};
  const filters = topK !== undefined || topP !== undefined || minP !== undefined;
  return [1, k, filters ? k : 0, likeliest].map((each) => RANKED_WORDS * each);
}

/** Words that a ranking leaves to be read back: those of its rows, behind the first one's logits. */
export function rankedWords(question: RankQuestion, { embeddingSize }: ModelConfig): number {
  const row = wordsOf(question).reduce((sum, words) => sum + words);
  return embeddingSize + question.rows.length * row;
}

/** Where the results of a ranking begin, in words. */
export interface RankedPlaces {
  readonly logits: number;
  /** Rows of a piece. */
  readonly most: number;
  /** Of each piece: of what {@linkcode wordsOf} names, one after another. */
  readonly pieces: readonly (readonly number[])[];
}

/**
 * Records the rankings of rows, in pieces whose logits are in memory together. Its data is uploaded at
 * once: what was recorded with other data must be submitted before.
 * @param results where {@linkcode rankingOf} finds them
 */
export async function recordRanking(
  context: PredictionContext,
  hidden: Tensor,
  question: RankQuestion,
  results: Results,
): Promise<RankedPlaces> {
  const { recorder, scratch, config, weights } = context;
  const { rows, positions, choice, k } = question;
  const { temperature, seed, step, sampling } = choice;
  const columns = weights.head.columns;
  const { topK, topP, minP, changes = [], likeliest = 0 } = sampling ?? {};
  const most = logitRows(context);
  const index = uploadScratch(context, "ranked rows", spread(rows, most));
  const places = uploadScratch(context, "ranked positions", spread(positions, most));
  const adjustments = uploadChanges(context, { changes });
  const words = wordsOf(question);
  const names = ["row sums", "ranked", "ranked, filtered", "ranked, likeliest"];
  const found = names.map((name, i) =>
    words[i] > 0 ? scratch.get(name, words[i] * Math.min(most, rows.length)) : undefined
  );
  const [sums, best, passing, top] = found;
  let logitsFirst = 0;
  const pieces: number[][] = [];
  for (let first = 0; first < rows.length; first += most) {
    const count = Math.min(most, rows.length - first);
    const piece = (tensor: Tensor) => tensor.window(PIECE * first / most, PIECE);
    const raw = recordLogits(context, normAsked(context, hidden, piece(index), count), count);
    if (first === 0) logitsFirst = await results.add(raw, config.embeddingSize);
    const logits = recordChanges(context, raw, count, adjustments, { changes });
    const shared = { positions: piece(places), sums: sums! };
    const asked = { rows: count, columns, temperature, seed, step };
    const rank = (to: Tensor, k: number, of: { logits: Tensor; cutoffs?: Tensor }, noise = true) =>
      rankTokens(
        recorder,
        { raw, ...of, ...shared, ranked: to },
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
    const own: number[] = [];
    for (const [i, tensor] of found.entries()) {
      own.push(tensor ? await results.add(tensor, words[i] * count) : 0);
    }
    pieces.push(own);
  }
  return { logits: logitsFirst, most, pieces };
}

/** The ranking, from the bytes that were read back. */
export function rankingOf(
  bytes: ArrayBuffer,
  question: RankQuestion,
  { embeddingSize }: ModelConfig,
  { logits, most, pieces }: RankedPlaces,
): Ranking {
  const { positions, choice: { sampling }, k } = question;
  const firstLogits = new Float32Array(bytes, 4 * logits, embeddingSize);
  const words = wordsOf(question);
  const likeliest = sampling?.likeliest ?? 0;
  const rows = Array.from(positions, (position, row): RankedRow => {
    const firsts = pieces[Math.floor(row / most)];
    const [sums, best, passing, top] = words.map((each, i) =>
      new Uint32Array(bytes, 4 * (firsts[i] + each * (row % most)), each)
    );
    const found = new Float32Array(sums.buffer, sums.byteOffset, sums.length);
    const [max, others, rawMax, rawOthers] = found;
    const rest = Math.log1p(rawOthers);
    return {
      position,
      ranked: rankedOf(best, k, embeddingSize),
      ...passing.length > 0 && { passing: rankedOf(passing, k, embeddingSize) },
      softmax: { max, others },
      rawSoftmax: { max: rawMax, others: rawOthers },
      likeliest: rankedOf(top, likeliest, embeddingSize).map(({ token, raw }) => ({
        token,
        logProbability: raw - rawMax - rest,
      })),
    };
  });
  return { rows, firstLogits };
}

function rankedOf(ids: Uint32Array, k: number, tokens: number): RankedLogit[] {
  const values = new Float32Array(ids.buffer, ids.byteOffset, ids.length);
  const all = Array.from({ length: k }, (_, i) => {
    const at = RANKED_WORDS * i;
    return { token: ids[at], score: values[at + 1], logit: values[at + 2], raw: values[at + 3] };
  });
  return all.filter(({ token }) => token !== NO_TOKEN && token < tokens);
}
