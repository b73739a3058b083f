/** Ranks tokens by their logits on the GPU, for choices that the host makes among the best. */

import type { ScoredToken, TokenChoice } from "../denoise/predictor.ts";
import type { Readback } from "../gpu/readback.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { logitCutoff } from "../kernels/logit_cutoff.ts";
import { RANKED_WORDS, rankTokens } from "../kernels/rank_tokens.ts";
import { NO_TOKEN } from "../kernels/step_plan.ts";
import { recordLogits } from "./logits.ts";
import { normAsked, type PredictionContext, uploadScratch } from "./prediction_pass.ts";
import { readTogether, recordChanges, sampledRows, uploadChanges } from "./sampled_pass.ts";

/**
 * Tokens that are tried at a constrained position, the best first. They are all that is read back of a
 * row: which tokens a position may take depends on all states that it may stand behind, so that a list
 * of them, or a bitmap of the vocabulary, costs more to make than to try these: 2.8 ms a position
 * instead of 0.03, with 2048 tokens and a schema of two texts and a number.
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

/** Rows of hidden states, and how their tokens are ranked. */
interface RankQuestion {
  readonly rows: readonly number[];
  /** `[rows]`, which key the noise. */
  readonly positions: Uint32Array;
  readonly choice: RankChoice;
  readonly k: number;
}

/** Records the rankings of rows, in pieces whose logits are in memory together, and reads them back. */
export async function rankRows(
  context: PredictionContext,
  readback: Readback,
  hidden: Tensor,
  { rows, positions, choice, k }: RankQuestion,
): Promise<RankedRow[]> {
  const { recorder, scratch, config, weights } = context;
  const { temperature, seed, step, sampling } = choice;
  const columns = weights.head.columns;
  const { topK, topP, minP, changes = [], likeliest = 0 } = sampling ?? {};
  const filters = topK !== undefined || topP !== undefined || minP !== undefined;
  const most = sampledRows(context);
  const index = uploadScratch(context, "ranked rows", spread(rows, most));
  const places = uploadScratch(context, "ranked positions", spread(positions, most));
  const adjustments = uploadChanges(context, { changes });
  const words = RANKED_WORDS * rows.length;
  const sums = scratch.get("row sums", words);
  const best = scratch.get("ranked", words * k);
  const passing = filters ? scratch.get("ranked, filtered", words * k) : undefined;
  const top = likeliest > 0 ? scratch.get("ranked, likeliest", words * likeliest) : undefined;
  for (let first = 0; first < rows.length; first += most) {
    const count = Math.min(most, rows.length - first);
    const part = (tensor: Tensor, each: number) => tensor.window(each * first, each * most);
    const piece = (tensor: Tensor) => tensor.window(PIECE * first / most, PIECE);
    const raw = recordLogits(context, normAsked(context, hidden, piece(index), count), count);
    if (first === 0) recorder.copy(raw, scratch.get("first logits", columns), 4 * columns);
    const logits = recordChanges(context, raw, count, adjustments, { changes });
    const shared = { positions: piece(places), sums: part(sums, RANKED_WORDS) };
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
    rank(best, k, { logits });
  }
  const bytes = await readTogether(context, readback, [
    [sums, words],
    [best, words * k],
    [passing, passing ? words * k : 0],
    [top, words * likeliest],
  ]);
  const [sumBytes, bestBytes, passingBytes, topBytes] = bytes;
  const found = new Float32Array(sumBytes);
  const size = config.embeddingSize;
  return Array.from(positions, (position, row): RankedRow => {
    const [max, others, rawMax, rawOthers] = found.subarray(RANKED_WORDS * row);
    const rest = Math.log1p(rawOthers);
    return {
      position,
      ranked: rankedOf(bestBytes, row, k, size),
      ...passing && { passing: rankedOf(passingBytes, row, k, size) },
      softmax: { max, others },
      rawSoftmax: { max: rawMax, others: rawOthers },
      likeliest: rankedOf(topBytes, row, likeliest, size).map(({ token, raw }) => ({
        token,
        logProbability: raw - rawMax - rest,
      })),
    };
  });
}

/** Words of rows, those of each piece where a binding may begin. */
function spread(words: ArrayLike<number>, rows: number): Uint32Array<ArrayBuffer> {
  const spread = new Uint32Array(PIECE * Math.ceil(words.length / rows));
  for (let i = 0; i < words.length; i++) {
    spread[PIECE * Math.floor(i / rows) + i % rows] = words[i];
  }
  return spread;
}

function rankedOf(bytes: ArrayBuffer, row: number, k: number, tokens: number): RankedLogit[] {
  const ids = new Uint32Array(bytes);
  const values = new Float32Array(bytes);
  const all = Array.from({ length: k }, (_, i) => {
    const at = RANKED_WORDS * (row * k + i);
    return { token: ids[at], score: values[at + 1], logit: values[at + 2], raw: values[at + 3] };
  });
  return all.filter(({ token }) => token !== NO_TOKEN && token < tokens);
}

/** Reads the logits of the first row that {@linkcode rankRows} last ranked. `[embeddingSize]` */
export async function readFirstLogits(
  { recorder, scratch, config }: PredictionContext,
  readback: Readback,
): Promise<Float32Array<ArrayBuffer>> {
  const columns = config.embeddingSize;
  const bytes = await readback.read(recorder, scratch.get("first logits", columns), 4 * columns);
  return new Float32Array(bytes);
}
