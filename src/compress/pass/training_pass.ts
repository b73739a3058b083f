/** The forward and backward pass of a whole model in training. */

import { Scratch } from "../../gpu/scratch.ts";
import { type Tensor, upload } from "../../gpu/tensor.ts";
import { embed } from "../../kernels/embed.ts";
import { embedBackward, tokenRows } from "../../kernels/embed_backward.ts";
import { embedRows } from "../../kernels/embed_rows.ts";
import { headShape } from "../../model/forward_pass.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import { layerMultiplications } from "../../model/pass_cost.ts";
import { paddedInner } from "../../quant/scheme.ts";
import type { TrainingBatch } from "../training_batch.ts";
import type { Adapters } from "./adapters.ts";
import { type GradientObserver, layerBackward, normBackward, scattered } from "./layer_backward.ts";
import { layerForward, layerInput, type LayerSpace, normForward } from "./layer_forward.ts";
import { type Modules, modulesOf } from "./layer_modules.ts";
import { linearBackward, linearForward } from "./linear_module.ts";
import type { LogitsChunk, LogitSource } from "./logit_source.ts";
import type { TrainingParameters } from "./parameters.ts";
import { type AskedChunk, checkBatch, prepareBatch, type PreparedBatch } from "./prepared_batch.ts";
import { type LossSums, type LossTensors, sumLosses, type TrainingLoss } from "./training_loss.ts";
import type { TrainingSpace } from "./training_space.ts";

/** Logits that are in memory together, if nothing else is asked for. */
export const DEFAULT_LOGITS_BYTES = 16 * 2 ** 20;

/** Milliseconds of recording after which signals and timers are handled. */
const TURN = 50;

/** Options of a pass. */
export interface TrainingPassOptions {
  /** Low-rank adapters that join the matrices. */
  readonly adapters?: Adapters;
  /** Whether to keep all that the layers make (default false: only their inputs, and all else is made again). */
  readonly keepActivations?: boolean;
  /** Most bytes of logits in memory together; one row's always may be. */
  readonly logitsBytes?: number;
}

/** Passes of one model. Dispose of it to free its memory; parameters and space stay. */
export class TrainingPass implements LogitSource, Disposable {
  readonly config: ModelConfig;
  readonly parameters: TrainingParameters;
  readonly logitsBytes: number;
  readonly #space: TrainingSpace;
  readonly #layers: LayerSpace;
  readonly #modules: Modules;

  constructor(
    space: TrainingSpace,
    parameters: TrainingParameters,
    options: TrainingPassOptions = {},
  ) {
    const { recorder, gpu } = space;
    const { config, rotation } = parameters;
    this.config = config;
    this.parameters = parameters;
    this.logitsBytes = options.logitsBytes ?? DEFAULT_LOGITS_BYTES;
    this.#space = space;
    this.#modules = modulesOf(parameters, options.adapters);
    this.#layers = {
      recorder,
      scratch: new Scratch(gpu, recorder),
      config,
      rotation,
      shape: headShape(config),
      keepsActivations: options.keepActivations ?? false,
    };
  }

  /** Numbers of a row of logits. */
  get logitsStride(): number {
    return paddedInner(this.config.embeddingSize);
  }

  /**
   * Adds up the gradients of micro-batches, and waits for their losses. Gradients join those of earlier
   * steps: clear them once they were used.
   * @throws {RangeError} naming what is wrong with a batch
   */
  async step(
    batches: readonly TrainingBatch[],
    loss: TrainingLoss,
    observe?: GradientObserver,
  ): Promise<LossSums> {
    for (const batch of batches) checkBatch(batch, this.config);
    try {
      return await this.#step(batches, loss, observe);
    } catch (error) {
      // What is half recorded must not run with the next call.
      this.#space.recorder.abandon();
      throw error;
    }
  }

  async #step(
    batches: readonly TrainingBatch[],
    loss: TrainingLoss,
    observe?: GradientObserver,
  ): Promise<LossSums> {
    const { scratch, recorder, readback } = this.#space;
    const terms = loss.terms.length;
    const asked = batches.map(({ rows }) => rows.length);
    const words = (terms + 1) * asked.reduce((sum, rows) => sum + rows, 0);
    const all = scratch.get("losses of a step", words);
    let at = 0;
    let turned = performance.now();
    for (const [i, batch] of batches.entries()) {
      const losses = scratch.get("losses", terms * asked[i]);
      const correct = scratch.get("correct", asked[i]);
      const prepared = prepareBatch(this.#space, batch, this);
      this.#gradients(prepared, loss, { losses, correct }, observe);
      for (const [tensor, count] of [[losses, terms * asked[i]], [correct, asked[i]]] as const) {
        if (count > 0) recorder.copy(tensor, all.part(at, count), 4 * count);
        at += count;
      }
      // The next batch is written over this one.
      recorder.submit();
      if (performance.now() - turned < TURN) continue;
      await new Promise((resolve) => setTimeout(resolve));
      turned = performance.now();
    }
    return sumLosses(loss.terms, asked, await readback.read(recorder, all, 4 * Math.max(1, words)));
  }

  #gradients(
    batch: PreparedBatch,
    loss: TrainingLoss,
    results: Pick<LossTensors, "losses" | "correct">,
    observe?: GradientObserver,
  ): void {
    const { recorder, scratch } = this.#layers;
    const { layers } = this.#modules;
    loss.prepare?.(batch);
    const hidden = this.#hidden(batch);
    const asked = batch.asked * paddedInner(this.config.hiddenSize);
    let dX = scratch.get("d asked x", asked);
    if (asked > 0) recorder.clear(dX.part(0, asked));
    this.#headGradients(batch, hidden, dX, loss, results);
    const last = layers.length - 1;
    observe?.(`block.${last}.out`, scattered(this.#layers, batch, dX, "observed"));
    for (let i = last; i >= 0; i--) {
      // What the last layer made is there in any case.
      const made = this.#layers.keepsActivations || i === last;
      dX = layerBackward(this.#layers, batch, layers[i], i, dX, made);
      this.#space.recorded((made ? 4 : 6) * batch.rows * layerMultiplications(this.config));
      if (i > 0) observe?.(`block.${i - 1}.out`, dX);
    }
    observe?.("embed", dX);
    this.#embeddingGradient(batch, dX);
  }

  /** Records all layers. @returns the input of the final norm, `[asked, padded columns]` */
  #hidden(batch: PreparedBatch): Tensor {
    const { recorder } = this.#layers;
    const { embedding, layers } = this.#modules;
    const { rows, ids } = batch;
    const { rows: tokens, columns: stride } = embedding.layout;
    let x = layerInput(this.#layers, 0, rows);
    if ("matrix" in embedding) embed(recorder, ids, embedding.matrix, x, rows);
    else embedRows(recorder, ids, embedding.weight, x, { rows, stride, tokens });
    for (const [i, modules] of layers.entries()) {
      x = layerForward(this.#layers, batch, modules, i);
      this.#space.recorded(2 * rows * layerMultiplications(this.config));
    }
    return x;
  }

  /** Records the logits of a chunk of asked rows. */
  #logits(batch: PreparedBatch, hidden: Tensor, chunk: AskedChunk) {
    const { scratch } = this.#layers;
    const { finalNorm, head } = this.#modules;
    const { rows, askedIndex: rowIndex } = chunk;
    const stride = this.logitsStride;
    const width = paddedInner(this.config.hiddenSize);
    const normed = scratch.get("asked normed", rows * width);
    const logits = scratch.get("logits", rows * stride);
    normForward(this.#layers, hidden, finalNorm, normed, { rows, xRows: batch.asked, rowIndex });
    linearForward(this.#layers, head, normed, logits, { rows });
    this.#space.recorded(2 * rows * width * stride);
    return { chunk, logits, normed, stride, columns: this.config.embeddingSize };
  }

  recordLogits(batch: PreparedBatch, each: (chunk: LogitsChunk) => void): void {
    const hidden = this.#hidden(batch);
    for (const chunk of batch.chunks) each(this.#logits(batch, hidden, chunk));
  }

  #headGradients(
    batch: PreparedBatch,
    hidden: Tensor,
    dX: Tensor,
    loss: TrainingLoss,
    results: Pick<LossTensors, "losses" | "correct">,
  ): void {
    const { recorder, scratch } = this.#layers;
    const { finalNorm, head } = this.#modules;
    const { chunks, targets, weights } = batch;
    for (const chunk of chunks) {
      const { logits, normed, stride, columns } = this.#logits(batch, hidden, chunk);
      const { rows, first, askedIndex: rowIndex } = chunk;
      const shape = { rows, firstRow: first, columns, stride };
      loss.record(recorder, { logits, targets, weights, ...results }, shape);
      const dNormed = scratch.get("d asked normed", rows * paddedInner(this.config.hiddenSize));
      linearBackward(this.#layers, head, { x: normed, dY: logits, dX: dNormed }, { rows });
      normBackward(this.#layers, finalNorm, { x: hidden, dY: dNormed, dX }, { rows, rowIndex });
      this.#space.recorded(4 * rows * stride * paddedInner(this.config.hiddenSize));
    }
  }

  #embeddingGradient({ batch, rows }: PreparedBatch, dX: Tensor): void {
    const { recorder, scratch } = this.#layers;
    const { gpu } = this.#space;
    const { embedding } = this.#modules;
    if ("matrix" in embedding || !embedding.gradient) return;
    const { gradient, layout } = embedding;
    const sorted = tokenRows(batch.ids);
    const lists = scratch.get("token lists", sorted.lists.length);
    const order = scratch.get("rows by token", rows);
    upload(gpu, lists, sorted.lists);
    upload(gpu, order, sorted.rows);
    embedBackward(recorder, { lists, rows: order, dX, dTable: gradient }, {
      rows,
      lists: sorted.lists.length / 3,
      stride: layout.columns,
      tokens: layout.rows,
    });
  }

  [Symbol.dispose](): void {
    this.#layers.scratch[Symbol.dispose]();
  }
}
