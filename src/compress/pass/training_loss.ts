/** What a training loss does with a chunk of logits, and how the losses of rows are added up. */

import type { Recorder } from "../../gpu/recorder.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import { type AskedSlots, outOfSlots, type PreparedBatch } from "./prepared_batch.ts";

/** Tensors of a chunk of asked rows. */
export interface LossTensors {
  /** `[rows, stride]`; becomes the gradient of the loss, zeros in the padding. */
  readonly logits: Tensor;
  /** `[rows]` true tokens */
  readonly targets: Tensor;
  /** `[rows]` */
  readonly weights: Tensor;
  /** `[rows, columns of the loss]`, written */
  readonly losses: Tensor;
  /** The part of a tensor `[slots, words]` that belongs to these rows. */
  readonly part: (tensor: Tensor, words: number) => Tensor;
}

/** Size of a chunk's logits. */
export interface LossShape {
  readonly rows: number;
  /** Tokens. */
  readonly columns: number;
  readonly stride: number;
}

/** A loss over the logits of asked rows. */
export interface TrainingLoss {
  /** Names of the numbers that it gives for each row. */
  readonly columns: readonly string[];
  /** Records what it needs of a batch, before the student's forward pass. */
  prepare?(batch: PreparedBatch): void;
  /** Records the losses of a chunk's rows, and their gradient in place of the logits. */
  record(recorder: Recorder, tensors: LossTensors, shape: LossShape): void;
}

/** Sums over all asked rows of a step, by the loss's names. */
export type LossSums = Readonly<Record<string, number>>;

/** Adds up the losses of all rows of a step, in their order. */
export function sumLosses(
  columns: readonly string[],
  batches: readonly AskedSlots[],
  losses: Float32Array<ArrayBuffer>,
): LossSums {
  const sums = columns.map(() => 0);
  let first = 0;
  for (const asked of batches) {
    const own = losses.subarray(columns.length * first, columns.length * (first + asked.slots));
    outOfSlots(asked, own, columns.length).forEach((value, i) => {
      sums[i % columns.length] += value;
    });
    first += asked.slots;
  }
  return Object.fromEntries(columns.map((name, i) => [name, sums[i]]));
}
