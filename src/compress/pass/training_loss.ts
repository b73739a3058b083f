/** What a training loss does with a chunk of logits, and how the losses of rows are added up. */

import type { Recorder } from "../../gpu/recorder.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import { crossEntropy } from "../../kernels/cross_entropy.ts";
import {
  CARD_TERMS,
  DISTIL_WORDS,
  distilLoss,
  type DistilTerms,
} from "../../kernels/distil_loss.ts";
import { type LogitSource, recordTopTokens, type TopTokens } from "./logit_source.ts";
import type { PreparedBatch } from "./prepared_batch.ts";
import type { TrainingSpace } from "./training_space.ts";

/** Tensors of a batch's asked rows; those of a chunk begin at its first row. */
export interface LossTensors {
  /** `[rows of the chunk, stride]`; becomes the gradient of the loss, zeros in the padding. */
  readonly logits: Tensor;
  /** `[asked]` true tokens */
  readonly targets: Tensor;
  /** `[asked]` */
  readonly weights: Tensor;
  /** `[asked, terms of the loss]`, written */
  readonly losses: Tensor;
  /** `[asked]` of u32, written: whether the likeliest token is the one that the loss asks for. */
  readonly correct: Tensor;
}

/** A chunk's logits. */
export interface LossShape {
  readonly rows: number;
  /** First of the asked rows. */
  readonly firstRow: number;
  /** Tokens. */
  readonly columns: number;
  readonly stride: number;
}

/** A loss over the logits of asked rows. */
export interface TrainingLoss {
  /** Names of the numbers that it gives for each row, each with the row's weight. */
  readonly terms: readonly string[];
  /** Records what it needs of a batch, before the student's forward pass. */
  prepare?(batch: PreparedBatch): void;
  /** Records the losses of a chunk's rows, and their gradient in place of the logits. */
  record(recorder: Recorder, tensors: LossTensors, shape: LossShape): void;
}

/** The cross-entropy of true tokens; its one term is `loss`. */
export const CROSS_ENTROPY: TrainingLoss = {
  terms: ["loss"],
  record: (recorder, tensors, shape) => crossEntropy(recorder, tensors, shape),
};

/** What a student loses against a teacher; its terms are `ce`, `kl`, `mse` and `loss`. */
export class DistilLoss implements TrainingLoss {
  readonly terms = ["ce", "kl", "mse", "loss"];
  readonly #space: TrainingSpace;
  readonly #teacher: LogitSource;
  readonly #options: { readonly count: number; readonly terms: DistilTerms };
  #found: TopTokens | undefined;

  /**
   * @param teacher gives logits over the same tokens as the student
   * @param options.count the teacher's best tokens that the divergence is over (default 32, as the card)
   * @param options.terms default: those of the card
   */
  constructor(
    space: TrainingSpace,
    teacher: LogitSource,
    options: { readonly count?: number; readonly terms?: DistilTerms } = {},
  ) {
    const { count = 32, terms = CARD_TERMS } = options;
    this.#space = space;
    this.#teacher = teacher;
    this.#options = { count: Math.min(count, teacher.config.embeddingSize), terms };
  }

  prepare(batch: PreparedBatch): void {
    const { count } = this.#options;
    this.#found = recordTopTokens(this.#space, this.#teacher, batch, { count, name: "teacher" });
  }

  record(recorder: Recorder, tensors: LossTensors, shape: LossShape): void {
    const { config } = this.#teacher;
    if (config.embeddingSize !== shape.columns) {
      throw new RangeError(
        `the teacher has ${config.embeddingSize} tokens, the student ${shape.columns}: they must ` +
          "share a vocabulary",
      );
    }
    const { logits, weights, losses, correct } = tensors;
    const { ranked, sums } = this.#found!;
    distilLoss(recorder, { logits, ranked, sums, weights, losses, correct }, {
      ...shape,
      ...this.#options,
    });
  }
}

// The loss kernel's words are the names above.
if (DISTIL_WORDS !== 4) throw new Error("distil_loss gives other words than DistilLoss names");

/** What a step adds up over all asked rows. */
export interface LossSums {
  /** Sum of each of the loss's terms, weights included. */
  readonly terms: Readonly<Record<string, number>>;
  /** Rows whose likeliest token is the one that the loss asks for. */
  readonly correct: number;
  readonly asked: number;
}

/**
 * Adds up what a step's micro-batches left, in the order of their rows.
 * @param words of each batch: `[asked, terms]` of f32, then `[asked]` of u32
 */
export function sumLosses(
  names: readonly string[],
  asked: readonly number[],
  words: ArrayBuffer,
): LossSums {
  const numbers = new Float32Array(words);
  const whole = new Uint32Array(words);
  const sums = names.map(() => 0);
  let correct = 0;
  let at = 0;
  for (const rows of asked) {
    for (let i = 0; i < rows * names.length; i++) sums[i % names.length] += numbers[at + i];
    at += rows * names.length;
    for (let i = 0; i < rows; i++) correct += whole[at + i];
    at += rows;
  }
  return {
    terms: Object.fromEntries(names.map((name, i) => [name, sums[i]])),
    correct,
    asked: asked.reduce((sum, rows) => sum + rows, 0),
  };
}
