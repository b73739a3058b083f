/** The loss of a student against a teacher, and its gradient. */

import source from "../../shaders/distil_loss.wgsl" with { type: "text" };
import rowSoftmax from "../../shaders/lib/row_softmax.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { softmaxLanes } from "./row_softmax.ts";
import { MOST_TOP_TOKENS, TOP_WORDS } from "./top_tokens.ts";

/** shaders/distil_loss.wgsl */
export const distilLossKernel = defineKernel({
  name: "distil_loss",
  source,
  snippets: [rowSoftmax],
  bindings: {
    logits: "write",
    ranked: "read",
    sums: "read",
    weights: "read",
    losses: "write",
    correct: "write",
  },
  params: {
    columns: "u32",
    stride: "u32",
    first_row: "u32",
    count: "u32",
    temperature: "f32",
    ce_share: "f32",
    kl_share: "f32",
    mse_share: "f32",
  },
  constants: { LANES: 32, GROUPS: 8, FROM_TEACHER: 0 },
});

/** Words of 4 bytes in the losses of a row: ce, kl, mse, total. */
export const DISTIL_WORDS = 4;

/** Which distribution the KL divergence averages over; the other one is compared with it. */
export const KL_DIRECTIONS = ["student_teacher", "teacher_student"] as const;
/** `student_teacher` is the sum of P ln(P/Q), P the student's; `teacher_student` that of Q ln(Q/P). */
export type KlDirection = typeof KL_DIRECTIONS[number];

/** What a distillation loss is made of. */
export interface DistilTerms {
  /** Share of the cross-entropy with the teacher's first token, over all tokens. */
  readonly ce: number;
  /** Share of the KL divergence over the teacher's best tokens, both distributions renormalised on them. */
  readonly kl: number;
  /** Share of the squared difference of the two largest probabilities, over all tokens. */
  readonly mse: number;
  readonly direction: KlDirection;
  /**
   * Divides the logits of the two distributions that the KL divergence compares, and nothing else; the
   * divergence is multiplied by its square, so that its gradient keeps its size (Hinton 2015, section 2).
   */
  readonly temperature: number;
}

/** The terms of the published draft's card. */
export const CARD_TERMS: DistilTerms = {
  ce: 0.5,
  kl: 0.3,
  mse: 0.2,
  direction: "student_teacher",
  temperature: 1,
};

/**
 * Records the loss of a chunk of rows, and its gradient in place of the student's logits. The teacher is
 * constant. Row r of the logits is entry `firstRow + r` of all other tensors.
 * @param tensors.logits `[rows, stride]` of the student; what lies beyond `columns` becomes 0
 * @param tensors.ranked `[entries, count]` of the teacher, as `topTokens` leaves it
 * @param tensors.sums `[entries]` of the teacher, likewise
 * @param tensors.weights `[entries]`
 * @param tensors.losses `[entries, 4]` of ce, kl, mse and total, each times the weight
 * @param tensors.correct `[entries]` of u32: 1 where the student's first largest logit is that of the
 * teacher's first token
 * @throws {RangeError} when the count is not from 1 to 64, or the temperature is not above 0
 */
export function distilLoss(
  recorder: Recorder,
  tensors: {
    readonly logits: Tensor;
    readonly ranked: Tensor;
    readonly sums: Tensor;
    readonly weights: Tensor;
    readonly losses: Tensor;
    readonly correct: Tensor;
  },
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly stride: number;
    /** Entry of the first row; default 0. */
    readonly firstRow?: number;
    /** Lanes of a workgroup, a power of two from 8 to 256 (default: by the device). */
    readonly lanes?: number;
    /** Tokens of a teacher's row in `ranked`. */
    readonly count: number;
    readonly terms: DistilTerms;
  },
): void {
  const { rows, columns, stride, firstRow = 0, count, terms } = options;
  const { ce, kl, mse, direction, temperature } = terms;
  if (!(count >= 1 && count <= MOST_TOP_TOKENS)) {
    throw new RangeError(
      `${count} tokens of the teacher, expected a whole number from 1 to ${MOST_TOP_TOKENS}`,
    );
  }
  if (!(temperature > 0)) {
    throw new RangeError(`temperature is ${temperature}, expected a number above 0`);
  }
  recorder.dispatch(distilLossKernel, {
    bindings: tensors,
    params: {
      columns,
      stride,
      first_row: firstRow,
      count,
      temperature,
      ce_share: ce,
      kl_share: kl,
      mse_share: mse,
    },
    constants: {
      ...softmaxLanes(columns, recorder.gpu, options.lanes),
      FROM_TEACHER: direction === "teacher_student" ? 1 : 0,
    },
    cost: {
      operations: 5 * rows * columns,
      bytes: 4 * rows * (4 * columns + TOP_WORDS * (count + 1) + DISTIL_WORDS + 2),
    },
    workgroups: [rows],
  });
}
