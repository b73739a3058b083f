/** Rows of logits through head and predict, held against `predictRow`. */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { CONFIDENCE_MEASURES } from "../../src/denoise/confidence.ts";
import { gumbel, predictRow } from "../../src/denoise/noise.ts";
import {
  GREEDY,
  NO_TOKEN,
  type Prediction,
  type TokenChoice,
} from "../../src/denoise/predictor.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { CANDIDATE_WORDS, head, headTiles } from "../../src/kernels/head.ts";
import { predict, PREDICTION_WORDS } from "../../src/kernels/predict.ts";
import { ASKED_WORDS, STEP_PLAN_WORDS, writeStepPlan } from "../../src/kernels/step_plan.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { forms } from "../gpu/device.ts";
import { CaseTensors } from "./case.ts";
import { hostMatrix, uploadMatrix } from "./matrix.ts";

/**
 * Rows whose logits are the ones given, bit for bit: a hidden state with a single 1 takes one value
 * of each token's weights.
 */
export interface Rows {
  /** `[rows, vocabulary]`; with guidance (conditional, unconditional) pairs. */
  readonly logits: readonly Float32Array[];
  readonly positions: readonly number[];
  readonly choices: readonly TokenChoice[];
  /** Default: at some rows none, at the others tokens all over the vocabulary. */
  readonly judged?: readonly number[];
  /** `cfg_scale + 1`. */
  readonly guidance?: number;
  readonly partColumns?: number;
}

function judgedTokens({ positions, logits, judged }: Rows): readonly number[] {
  return judged ?? positions.map((_, i) => i % 3 === 0 ? NO_TOKEN : (37 * i) % logits[0].length);
}

/** Head and predict on the GPU. */
export async function predictRows(gpu: Gpu, rows: Rows): Promise<Prediction[]> {
  const { logits, positions, choices, guidance, partColumns } = rows;
  using tensors = new CaseTensors(gpu);
  using recorder = new Recorder(gpu);
  using readback = new Readback(gpu);
  const inner = logits.length;
  const vocabulary = logits[0].length;
  const values = new Float32Array(vocabulary * inner);
  const x = new Float32Array(inner * paddedInner(inner));
  logits.forEach((row, r) => {
    row.forEach((logit, token) => values[token * inner + r] = logit);
    x[r * paddedInner(inner) + r] = 1;
  });
  const weights = uploadMatrix(tensors, hostMatrix("f32", inner, values), partColumns);
  const entries = positions.length;
  const judged = judgedTokens(rows);
  const tiles = headTiles(weights);
  const asked = new Uint32Array(ASKED_WORDS * entries);
  const plans = new Uint32Array(STEP_PLAN_WORDS * entries);
  choices.forEach((choice, i) => {
    asked.set([i, positions[i], i, judged[i]], ASKED_WORDS * i);
    const { bannedTokens: banned, unconfidentTokens: unconfident } = choice;
    const range = { candidateFirst: 0, candidateEnd: 0 };
    const plan = { ...choice, ...range, commits: 0, banned, unconfident };
    writeStepPlan(plans, STEP_PLAN_WORDS * i, plan);
  });
  const candidates = tensors.untouched("candidates", CANDIDATE_WORDS * entries * tiles).tensor;
  const answers = tensors.untouched("answers", PREDICTION_WORDS * entries).tensor;
  const bound = {
    x: tensors.of("x", x),
    asked: tensors.of("asked", asked),
    plans: tensors.of("plans", plans),
    candidates,
  };
  const measured = choices.some(({ measure = "probability" }) => measure !== "probability");
  const options = { entries, planOffset: 0, measured };
  head(recorder, bound, weights, { ...options, guidance });
  predict(recorder, { ...bound, predictions: answers }, { ...options, tiles });
  const bytes = await readback.read(recorder, answers, 4 * PREDICTION_WORDS * entries);
  const words = new Uint32Array(bytes);
  const numbers = new Float32Array(bytes);
  return positions.map((position, i) => {
    const at = PREDICTION_WORDS * i;
    const [oddsAgainst, logProbability, logSumExp, uncertainty] = numbers.subarray(at + 1, at + 5);
    const confidence = 1 / (1 + oddsAgainst);
    return {
      position,
      token: words[at],
      oddsAgainst,
      confidence,
      logProbability,
      logSumExp,
      uncertainty,
      ...judged[i] !== NO_TOKEN && { judgedConfidence: 1 / (1 + numbers[at + 5]) },
    };
  });
}

/** The logits that decide, in f64. */
function guided({ logits, guidance }: Rows, entry: number): Float64Array {
  if (guidance === undefined) return Float64Array.from(logits[entry]);
  const unconditional = logits[2 * entry + 1];
  return Float64Array.from(
    logits[2 * entry],
    (logit, token) => unconditional[token] + guidance * (logit - unconditional[token]),
  );
}

/** Distance between best and second score. */
function scoreGap(logits: Float64Array, position: number, choice: TokenChoice): number {
  const { temperature, seed, step, bannedTokens } = choice;
  const scores = Array.from(
    logits,
    (logit, token) => logit + (temperature && temperature * gumbel(seed, step, position, token)),
  ).filter((_, token) => !bannedTokens.includes(token)).sort((a, b) => b - a);
  return scores[0] - scores[1];
}

/** Distance between the softmax's two largest logits; Infinity if it has one. */
function softmaxGap(logits: Float64Array, choice: TokenChoice): number {
  const hidden = [...choice.bannedTokens, ...choice.unconfidentTokens];
  const [largest, second = -Infinity] = [...logits.filter((_, token) => !hidden.includes(token))]
    .sort((a, b) => b - a);
  return largest - second;
}

/**
 * Every field of every row, the measures of confidence in turn where none is given; `tolerance` is
 * relative for odds and uncertainties, absolute for logarithms.
 */
export async function assertPredictions(given: Rows, tolerance: number): Promise<void> {
  const measureOf = (row: number) => CONFIDENCE_MEASURES[(row >> 1) % CONFIDENCE_MEASURES.length];
  const choices = given.choices.map((choice, i) => ({ measure: measureOf(i), ...choice }));
  const rows = { ...given, choices };
  let decided = 0;
  for (const [form, gpu] of forms) {
    const found = await predictRows(gpu, rows);
    found.forEach((prediction, i) => {
      const logits = guided(rows, i);
      const judged = judgedTokens(rows)[i];
      const expected = predictRow(logits, rows.positions[i], rows.choices[i], judged);
      const gap = scoreGap(logits, rows.positions[i], rows.choices[i]);
      // Where scores tie exactly the rule decides; where they nearly tie, rounding may.
      const rounds = choices[i].temperature > 0 || rows.guidance !== undefined;
      if (rounds && gap > 0 && gap < 1e-5) return;
      decided++;
      const where = `${form} row ${i} (gap ${gap})`;
      assertEquals(prediction.token, expected.token, where);
      assertAlmostEquals(prediction.logSumExp, expected.logSumExp, tolerance, where);
      const { judgedConfidence } = prediction;
      assertEquals(judgedConfidence === undefined, expected.judgedConfidence === undefined, where);
      if (expected.judgedConfidence) {
        const share = judgedConfidence! / expected.judgedConfidence;
        assertAlmostEquals(share, 1, tolerance, `${where}: judged ${judged}, off by ${share}`);
      } else {
        assertEquals(judgedConfidence, expected.judgedConfidence, where);
      }
      if (expected.oddsAgainst === Infinity) {
        const { judgedConfidence: _, ...rest } = prediction;
        const { judgedConfidence: __, ...wanted } = expected;
        assertEquals(rest, { ...wanted, logSumExp: rest.logSumExp }, where);
        return;
      }
      const { oddsAgainst, logProbability, uncertainty } = prediction;
      // Combined logits are rounded, which a margin feels where the two largest lie close.
      const gapError = rows.guidance === undefined ? 0 : 1e-6 / softmaxGap(logits, choices[i]);
      const about = `${where} ${choices[i].measure} ${expected.uncertainty}, found ${uncertainty}`;
      if (expected.uncertainty === 0 || expected.uncertainty === Infinity) {
        assertEquals(uncertainty, expected.uncertainty, about);
      } else {
        const share = uncertainty / expected.uncertainty;
        assertAlmostEquals(share, 1, tolerance + gapError, about);
      }
      const odds = `${where}: odds expected ${expected.oddsAgainst}, found ${oddsAgainst}`;
      assertAlmostEquals(oddsAgainst / expected.oddsAgainst, 1, tolerance, odds);
      const logs = `${where}: log p ${expected.logProbability}, found ${logProbability}`;
      const allowed = tolerance * Math.min(1, Math.abs(expected.logProbability)) + 1e-6 *
          Math.max(0, Math.abs(expected.logProbability) - 1);
      assertAlmostEquals(logProbability, expected.logProbability, allowed, logs);
    });
  }
  assert(decided > 0.95 * forms.size * rows.positions.length, `${decided} rows were decided`);
}

/** Rows at positions 0, 1, …, all chosen from in the same way. */
export const rowsOf = (logits: readonly Float32Array[], choice: Partial<TokenChoice>) => ({
  logits,
  positions: logits.map((_, i) => i),
  choices: logits.map(() => ({ ...GREEDY, ...choice })),
});
