/**
 * Predictions with sampling: the logits of the asked rows are computed into scratch memory, changed,
 * filtered and scored there. Rows without sampling take the head, which stores no logits.
 */

import type { Prediction, ScoredToken, TokenSampling } from "../denoise/predictor.ts";
import type { Readback } from "../gpu/readback.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { adjustLogits, adjustmentWords } from "../kernels/adjust_logits.ts";
import { guideLogits } from "../kernels/guide_logits.ts";
import { CANDIDATE_WORDS, headTiles } from "../kernels/head.ts";
import { logitCutoff } from "../kernels/logit_cutoff.ts";
import { predict, PREDICTION_WORDS } from "../kernels/predict.ts";
import { reduceLogits } from "../kernels/reduce_logits.ts";
import { scoreTokens } from "../kernels/score_tokens.ts";
import { ASKED_WORDS, isMeasured } from "../kernels/step_plan.ts";
import { topK } from "../kernels/top_k.ts";
import { LOGIT_ROWS, logitRows, recordLogits } from "./logits.ts";
import {
  type AskedRows,
  normAsked,
  type PredictionContext,
  predictionsOf,
  recordPredictions,
  type RowQuestion,
  uploadQuestion,
  uploadScratch,
} from "./prediction_pass.ts";

/** Words of 4 bytes in a row's scores, and in one of its likeliest tokens. */
const SCORE_WORDS = 2;

/** Whether a question is answered by {@linkcode answerSampled}; all others may share the head. */
export function isSampled({ choice }: RowQuestion): boolean {
  return choice.sampling !== undefined;
}

/** Whether sampling may change the choice of a token or its confidence. */
function changesChoice({ topK, topP, minP, changes }: TokenSampling): boolean {
  return topK !== undefined || topP !== undefined || minP !== undefined || changes.length > 0;
}

/**
 * Records the predictions of one question with sampling, and waits for them. It is alone, so that its
 * bits do not depend on other questions.
 */
export async function answerSampled(
  context: PredictionContext,
  readback: Readback,
  hidden: Tensor,
  question: RowQuestion,
): Promise<Prediction[]> {
  const { recorder, scratch, config, weights } = context;
  const sampling = question.choice.sampling!;
  const asked = uploadQuestion(context, question);
  const { entries } = asked;
  const columns = weights.head.columns;
  const likeliest = Math.min(sampling.likeliest ?? 0, config.embeddingSize);
  // Without a change the predictions are the head's, to the bit.
  const changed = changesChoice(sampling);
  const predictions = changed
    ? scratch.get("predictions", PREDICTION_WORDS * entries)
    : recordPredictions(context, hidden, asked);
  const scored = sampling.likeliest !== undefined;
  const scores = scored ? scratch.get("scores", SCORE_WORDS * entries) : undefined;
  const found = likeliest > 0 ? scratch.get("top", SCORE_WORDS * entries * likeliest) : undefined;
  const adjustments = uploadChanges(context, sampling);
  if (changed || scored) {
    // With guidance half as many, so that as many logits are in memory.
    const most = Math.max(1, logitRows(context) / (asked.guidance === undefined ? 1 : 2));
    for (let first = 0; first < entries; first += most) {
      const rows = Math.min(most, entries - first);
      const logits = recordAsked(context, hidden, asked, first, rows);
      const part = predictions.window(PREDICTION_WORDS * first, PREDICTION_WORDS * LOGIT_ROWS);
      if (changed) {
        // Those of both halves of guidance are of no more use.
        const free = asked.guidance === undefined ? "adjusted logits" : "logits";
        const adjusted = recordChanges(context, logits, rows, adjustments, sampling, free);
        recordChoices(context, adjusted, asked, part, first, rows);
      }
      if (scores) {
        const own = scores.window(SCORE_WORDS * first, SCORE_WORDS * LOGIT_ROWS);
        scoreTokens(recorder, { logits, predictions: part, scores: own }, { rows, columns });
      }
      if (found) {
        const words = SCORE_WORDS * likeliest;
        const own = found.window(words * first, words * LOGIT_ROWS);
        topK(recorder, logits, own, { rows, columns, k: likeliest, guidance: undefined });
      }
    }
  }
  const [bytes, scoreBytes, top] = await readTogether(context, readback, [
    [predictions, PREDICTION_WORDS * entries],
    [scores, scores ? SCORE_WORDS * entries : 0],
    [found, SCORE_WORDS * entries * likeliest],
  ]);
  const [answers] = predictionsOf(bytes, [question], config);
  if (!scores) return answers;
  const values = new Float32Array(scoreBytes);
  const tokens = new Uint32Array(top);
  const logits = new Float32Array(top);
  return answers.map((prediction, entry) => ({
    ...prediction,
    scores: {
      logProbability: values[SCORE_WORDS * entry],
      likeliest: Array.from({ length: likeliest }, (_, i): ScoredToken => {
        const at = SCORE_WORDS * (entry * likeliest + i);
        const gap = logits[SCORE_WORDS * entry * likeliest + 1] - logits[at + 1];
        return { token: tokens[at], logProbability: -gap - values[SCORE_WORDS * entry + 1] };
      }),
    },
  }));
}

/** Uploads the changes of logits; undefined without any. */
export function uploadChanges(
  context: PredictionContext,
  { changes }: Pick<TokenSampling, "changes">,
): Tensor | undefined {
  if (changes.length === 0) return undefined;
  return uploadScratch(context, "adjustments", adjustmentWords(changes));
}

/**
 * Records the changes of logits.
 * @param to name of the scratch memory that they are copied to
 * @returns `[rows, tokens]`, `logits` themselves without any
 */
export function recordChanges(
  { recorder, scratch, weights }: PredictionContext,
  logits: Tensor,
  rows: number,
  adjustments: Tensor | undefined,
  { changes }: Pick<TokenSampling, "changes">,
  to: "adjusted logits" | "logits" = "adjusted logits",
): Tensor {
  if (!adjustments) return logits;
  const columns = weights.head.columns;
  const adjusted = scratch.get(to, rows * columns);
  recorder.copy(logits, adjusted, 4 * rows * columns);
  adjustLogits(recorder, adjustments, adjusted, { rows, columns, count: changes.length });
  return adjusted;
}

/** Reads the first words of several tensors back at once; an absent one has none. */
async function readTogether(
  { recorder, scratch }: PredictionContext,
  readback: Readback,
  parts: readonly (readonly [Tensor | undefined, words: number])[],
): Promise<ArrayBuffer[]> {
  const all = scratch.get("sampled results", parts.reduce((sum, [, words]) => sum + words, 0));
  const ends: number[] = [];
  let end = 0;
  for (const [tensor, words] of parts) {
    if (tensor && words > 0) recorder.copy(tensor, all.part(end, words), 4 * words);
    ends.push(end += words);
  }
  const bytes = await readback.read(recorder, all, 4 * end);
  return ends.map((end, i) => bytes.slice(4 * (ends[i - 1] ?? 0), 4 * end));
}

/** Records the logits, guided if asked, of `rows` asked rows from `first` on. @returns `[rows, tokens]` */
function recordAsked(
  context: PredictionContext,
  hidden: Tensor,
  { rows: rowIndex, guidance }: AskedRows,
  first: number,
  rows: number,
): Tensor {
  const { recorder, scratch } = context;
  const rowsEach = guidance === undefined ? 1 : 2;
  const count = rows * rowsEach;
  const index = rowIndex.window(first * rowsEach, LOGIT_ROWS * rowsEach);
  const normed = normAsked(context, hidden, index, count);
  const logits = recordLogits(context, normed, count);
  if (guidance === undefined) return logits;
  const columns = context.weights.head.columns;
  const guided = scratch.get("adjusted logits", rows * columns);
  guideLogits(recorder, logits, guided, { rows, columns, guidance });
  return guided;
}

/** Records which tokens are chosen from the changed logits. */
function recordChoices(
  { recorder, scratch, weights }: PredictionContext,
  logits: Tensor,
  { asked, plans, planOffset, choices: [choice] }: AskedRows,
  predictions: Tensor,
  first: number,
  rows: number,
): void {
  const { topK, topP, minP } = choice.sampling!;
  const tiles = headTiles(weights.head);
  const cutoffs = scratch.get("cutoffs", LOGIT_ROWS);
  logitCutoff(recorder, logits, cutoffs, {
    rows,
    columns: weights.head.columns,
    topK,
    topP,
    minP,
    banned: choice.bannedTokens,
  });
  const shared = {
    asked: asked.window(ASKED_WORDS * first, ASKED_WORDS * LOGIT_ROWS),
    plans,
    candidates: scratch.get("candidates", rows * tiles * CANDIDATE_WORDS),
  };
  const options = { entries: rows, planOffset, measured: isMeasured(choice) };
  reduceLogits(recorder, { logits, cutoffs, ...shared }, weights.head, options);
  predict(recorder, { ...shared, predictions }, { ...options, tiles });
}
