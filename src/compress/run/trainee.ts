/** What a run trains, as narrow as the run needs it. */

import type { TrainingBatch } from "../training_batch.ts";

/** A tensor that a checkpoint holds. */
export interface StateTensor {
  /** Name in the checkpoint, such as `weight/model.transformer.wte.weight`. */
  readonly name: string;
  /** Rows first. */
  readonly shape: readonly number[];
  /** Reads all elements, row-major. */
  read(): Promise<Float32Array<ArrayBuffer>>;
  /** Replaces all elements. */
  write(values: Float32Array<ArrayBuffer>): void;
}

/** How a step changes the weights. */
export interface StepPlace {
  /** Number of the step, from 0. */
  readonly step: number;
  /** Learning rate. */
  readonly rate: number;
}

/** Losses of a step, before it. */
export interface StepLosses {
  /** What is made smaller. */
  readonly loss: number;
  /** Its parts, by name, unweighted. */
  readonly terms: Readonly<Record<string, number>>;
  /** Euclidean norm of the whole gradient, before it is clipped. */
  readonly gradientNorm: number;
}

/**
 * A model with its optimiser. The same steps from the same state give the same bits on the same
 * device: nothing but `state` decides what a step does.
 */
export interface Trainee {
  /** Everything that later steps depend on: weights, moments, averages. */
  readonly state: readonly StateTensor[];
  /** The weights as they are evaluated and written: the averages of them, if averages are kept. */
  readonly result: readonly StateTensor[];
  /** One step of the optimiser over the micro-batches of an effective batch. */
  step(batches: readonly TrainingBatch[], place: StepPlace): Promise<StepLosses>;
}
