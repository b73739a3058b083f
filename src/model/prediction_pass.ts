/** Turns hidden states into predictions: final norm of the asked rows, head, merge. */

import type { ForwardInput, Prediction, TokenChoice } from "../denoise/predictor.ts";
import type { Element } from "../gpu/kernel.ts";
import { type Tensor, upload } from "../gpu/tensor.ts";
import { CANDIDATE_WORDS, head, headTiles, unsplit } from "../kernels/head.ts";
import { predict, PREDICTION_WORDS } from "../kernels/predict.ts";
import { rmsNorm } from "../kernels/rms_norm.ts";
import {
  ASKED_WORDS,
  isMeasured,
  NO_TOKEN,
  STEP_PLAN_WORDS,
  writeStepPlan,
} from "../kernels/step_plan.ts";
import { stripHead } from "../kernels/strip_head.ts";
import { runsInStrips } from "../kernels/strips.ts";
import { paddedInner } from "../quant/scheme.ts";
import type { Family } from "./family.ts";
import type { ForwardPass } from "./forward_pass.ts";
import { checkToken } from "./input.ts";
import { rowsFor } from "./linear.ts";
import type { StepPace } from "./step_pace.ts";

/** Asked rows of one pass of the head: 256 operations for each byte of weights that is read in bf16. */
const MOST_ENTRIES = 256;

/** Inputs of a prediction pass. */
export interface PredictionContext extends ForwardPass {
  readonly family: Family;
  /** Type that keys and values are kept in. */
  readonly kvCache: Element;
  readonly pace: StepPace;
}

/** The rows that are asked for predictions. */
export interface AskedRows {
  /** `[entries]` */
  readonly asked: Tensor;
  /** `[entries]`, or `[entries, 2]` with guidance */
  readonly rows: Tensor;
  readonly entries: number;
  /** `cfg_scale + 1`, undefined without guidance */
  readonly guidance: number | undefined;
  /** One plan per sequence. */
  readonly plans: Tensor;
  readonly planOffset: number;
  /** How tokens are chosen, by sequence. */
  readonly choices: readonly TokenChoice[];
}

/** Records the final norm of some rows into scratch. `[count, paddedInner]` */
export function normAsked(
  { recorder, scratch, config, weights }: PredictionContext,
  hidden: Tensor,
  rowIndex: Tensor,
  count: number,
): Tensor {
  const stride = paddedInner(config.hiddenSize);
  const normed = scratch.get("asked_normed", count * stride);
  rmsNorm(recorder, hidden, weights.finalNorm, normed, {
    rows: count,
    xRows: Math.floor(hidden.byteLength / (4 * stride)),
    columns: config.hiddenSize,
    stride,
    epsilon: config.normEpsilon,
    rowIndex,
  });
  return normed;
}

/**
 * Asked rows of one pass of the head: 256, of which 14 MB of candidates are in memory where a vocabulary
 * has 126,464 tokens, or fewer where a binding holds no more.
 */
function entriesPerPass({ gpu, weights }: PredictionContext): number {
  const bytes = 4 * CANDIDATE_WORDS * headTiles(weights.head);
  const entries = Math.floor(gpu.limits.maxStorageBufferBindingSize / bytes);
  return Math.max(64, Math.min(MOST_ENTRIES, entries - entries % 64));
}

/**
 * Records the predictions of the asked rows.
 * @returns `[entries]` predictions, valid until the next pass is recorded
 */
export function recordPredictions(
  context: PredictionContext,
  hidden: Tensor,
  asked: AskedRows,
): Tensor {
  const { recorder, scratch, weights } = context;
  const tiles = headTiles(weights.head);
  const most = entriesPerPass(context);
  const measured = asked.choices.some(isMeasured);
  const noisy = asked.choices.some(({ temperature }) => temperature > 0);
  const rowsEach = asked.guidance === undefined ? 1 : 2;
  const predictions = scratch.get("predictions", PREDICTION_WORDS * asked.entries);
  for (let first = 0; first < asked.entries; first += most) {
    const entries = Math.min(most, asked.entries - first);
    const candidates = scratch.get("candidates", entries * tiles * CANDIDATE_WORDS);
    const rowIndex = asked.rows.window(first * rowsEach, most * rowsEach);
    const normed = normAsked(context, hidden, rowIndex, entries * rowsEach);
    const x = rowsFor(weights.head, normed, entries * rowsEach, context);
    const { plans, planOffset, guidance } = asked;
    const options = { entries, planOffset, measured, noisy };
    const shared = {
      asked: asked.asked.window(ASKED_WORDS * first, ASKED_WORDS * most),
      plans,
      candidates,
    };
    const reduces = runsInStrips(recorder.gpu, unsplit(weights.head)) ? stripHead : head;
    reduces(recorder, { x, ...shared }, weights.head, { ...options, guidance });
    const part = predictions.window(PREDICTION_WORDS * first, PREDICTION_WORDS * most);
    predict(recorder, { ...shared, predictions: part }, { ...options, tiles });
  }
  return predictions;
}

/** Uploads data into the scratch tensor of this name. */
export function uploadScratch(
  { gpu, scratch }: PredictionContext,
  name: string,
  data: Uint32Array<ArrayBuffer>,
): Tensor {
  const tensor = scratch.get(name, data.length);
  upload(gpu, tensor, data);
  return tensor;
}

/** The predictions wanted of one sequence, and its rows. */
export interface RowQuestion extends Pick<ForwardInput, "positions" | "judged" | "choice"> {
  /** Rows of the hidden states, one for each of `positions`. */
  readonly rows: readonly number[];
  /** Positions that key the noise, one for each of `positions`. */
  readonly rowPositions: readonly number[];
  /** Guidance: its scale, and the rows of the unconditional twin, one for each of `positions`. */
  readonly guidance?: { readonly scale: number; readonly twins: readonly number[] };
}

/** What is asked at some rows, as the head takes it. */
export interface QuestionWords {
  /** `[entries]` */
  readonly asked: Uint32Array<ArrayBuffer>;
  /** `[entries]`, or `[entries, 2]` with guidance */
  readonly rows: Uint32Array<ArrayBuffer>;
  /** `[questions]` */
  readonly plans: Uint32Array<ArrayBuffer>;
  readonly entries: number;
}

/**
 * Writes what is asked: questions that have all one scale of guidance, or none has any.
 * @param firstPlan number of the first question's plan among those of a call
 */
export function questionWords(questions: readonly RowQuestion[], firstPlan = 0): QuestionWords {
  const guided = questions.some(({ guidance }) => guidance);
  const rowsEach = guided ? 2 : 1;
  const entries = questions.reduce((sum, { rows }) => sum + rows.length, 0);
  const asked = new Uint32Array(ASKED_WORDS * entries);
  const askedRows = new Uint32Array(rowsEach * entries);
  const plans = new Uint32Array(STEP_PLAN_WORDS * questions.length);
  let entry = 0;
  for (const [i, { choice, rows, rowPositions, judged, guidance }] of questions.entries()) {
    writeStepPlan(plans, STEP_PLAN_WORDS * i, {
      ...choice,
      candidateFirst: 0,
      candidateEnd: 0,
      commits: 0,
      banned: choice.bannedTokens,
      unconfident: choice.unconfidentTokens,
    });
    for (const [j, row] of rows.entries()) {
      const word = judged?.[j] ?? NO_TOKEN;
      asked.set([row, rowPositions[j], firstPlan + i, word], ASKED_WORDS * entry);
      askedRows[rowsEach * entry] = row;
      if (guidance) askedRows[rowsEach * entry + 1] = guidance.twins[j];
      entry++;
    }
  }
  return { asked, rows: askedRows, plans, entries };
}

/** Uploads what is asked by one question. */
export function uploadQuestion(context: PredictionContext, question: RowQuestion): AskedRows {
  const { asked, rows, plans, entries } = questionWords([question]);
  const { guidance, choice } = question;
  return {
    asked: uploadScratch(context, "asked", asked),
    rows: uploadScratch(context, "asked_rows", rows),
    plans: uploadScratch(context, "plans", plans),
    entries,
    guidance: guidance && guidance.scale + 1,
    planOffset: 0,
    choices: [choice],
  };
}

/**
 * The predictions of all questions, in order, from the bytes that were read back.
 * @param first byte at which they begin
 */
export function predictionsOf(
  bytes: ArrayBuffer,
  questions: readonly RowQuestion[],
  config: PredictionContext["config"],
  first = 0,
): Prediction[][] {
  const words = new Uint32Array(bytes, first);
  const numbers = new Float32Array(bytes, first);
  let entry = 0;
  return questions.map(({ positions, judged }) =>
    Array.from(positions, (position, i) => {
      const at = PREDICTION_WORDS * entry++;
      return {
        position,
        token: checkToken(words[at], config),
        oddsAgainst: numbers[at + 1],
        uncertainty: numbers[at + 4],
        confidence: 1 / (1 + numbers[at + 1]),
        logProbability: numbers[at + 2],
        logSumExp: numbers[at + 3],
        ...(judged?.[i] ?? NO_TOKEN) !== NO_TOKEN && {
          judgedConfidence: 1 / (1 + numbers[at + 5]),
        },
      };
    })
  );
}
