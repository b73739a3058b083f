/** A loaded model of any scheme as a source of logits: a teacher. */

import { Scratch } from "../../gpu/scratch.ts";
import { recordLogits } from "../../model/logits.ts";
import type { Model } from "../../model/model.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import { layerMultiplications } from "../../model/pass_cost.ts";
import { normAsked } from "../../model/prediction_pass.ts";
import type { LogitsChunk, LogitSource } from "./logit_source.ts";
import type { PreparedBatch } from "./prepared_batch.ts";
import { DEFAULT_LOGITS_BYTES } from "./training_pass.ts";
import type { TrainingSpace } from "./training_space.ts";

/** The forward pass of a loaded model. Dispose of it to free its memory; the model stays. */
export class ModelTeacher implements LogitSource, Disposable {
  readonly config: ModelConfig;
  readonly logitsBytes: number;
  readonly #context: Model["context"];
  readonly #space: TrainingSpace;

  constructor(
    space: TrainingSpace,
    model: Model,
    options: { readonly logitsBytes?: number } = {},
  ) {
    const { recorder, gpu } = space;
    this.#space = space;
    this.config = model.config;
    this.logitsBytes = options.logitsBytes ?? DEFAULT_LOGITS_BYTES;
    this.#context = { ...model.context, recorder, scratch: new Scratch(gpu, recorder) };
  }

  /** Numbers of a row of logits. */
  get logitsStride(): number {
    return this.config.embeddingSize;
  }

  recordLogits(batch: PreparedBatch, each: (chunk: LogitsChunk) => void): void {
    const { family } = this.#context;
    const { rows, ids, positions: lists, ranges, work } = batch;
    const input = { rows, ids, lists, groups: [{ first: 0, rows, positions: 0, ranges, work }] };
    const layer = 2 * rows * layerMultiplications(this.config);
    const hidden = family.forward(this.#context, input, {
      hidden: () => this.#space.recorded(layer),
    });
    for (const chunk of batch.chunks) {
      const normed = normAsked(this.#context, hidden, chunk.rowIndex, chunk.rows);
      const logits = recordLogits(this.#context, normed, chunk.rows);
      const columns = this.config.embeddingSize;
      this.#space.recorded(2 * chunk.rows * columns * this.config.hiddenSize);
      each({ chunk, logits, stride: columns, columns });
    }
  }

  [Symbol.dispose](): void {
    this.#context.scratch[Symbol.dispose]();
  }
}
