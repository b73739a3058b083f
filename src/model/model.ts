/** A loaded model, which turns forward passes into predictions. */

import type {
  Canvas,
  CanvasSequence,
  ForwardInput,
  Prediction,
  Predictor,
} from "../denoise/predictor.ts";
import { type Gpu, GpuMemoryError } from "../gpu/device.ts";
import type { Element } from "../gpu/kernel.ts";
import { turnEventLoop } from "../gpu/mapping.ts";
import { Readback } from "../gpu/readback.ts";
import { Recorder } from "../gpu/recorder.ts";
import { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Texels } from "../gpu/texels.ts";
import { Batching } from "./batch/batching.ts";
import { KeyValuePool } from "./batch/key_value_pool.ts";
import {
  type BatchCanvas,
  type BatchModel,
  type JobResults,
  type PagePool,
  type PageReservation,
  type PassJob,
  SHARED_ROWS,
  type TogetherOptions,
} from "./batch/pass_job.ts";
import { Regions } from "./batch/regions.ts";
import { plannedLimits } from "./batch/run_limits.ts";
import { DeviceCanvas } from "./canvas.ts";
import type { ModelConfig } from "./loading/config.ts";
import { keptElement } from "./kv_cache.ts";
import { checkInput } from "./input.ts";
import { familyOf } from "./family.ts";
import type { ModelWeights } from "./forward_pass.ts";
import type { RankedToken } from "./logits.ts";
import { addMagnitudes, type Magnitudes, noMagnitudes } from "./magnitudes.ts";
import { StepPace } from "./step_pace.ts";
import { observedPass } from "./observed_pass.ts";
import type { PredictionContext } from "./prediction_pass.ts";
import type { RankChoice, Ranking } from "./ranked_pass.ts";
import { packRows, rowsOf, withoutIdleGuidance } from "./rows.ts";
import { groupsOf, topTokensOf, uploadRows } from "./whole_pass.ts";

export { GpuError, GpuFaultError, GpuMemoryError } from "../gpu/device.ts";
export type { RankedToken } from "./logits.ts";

/**
 * The results of a forward pass over one sequence, for inspection. There is one row for each
 * position that the attention mask shows, in ascending order. Matrices are row-major.
 */
export interface ForwardResult {
  /** `[rows, embeddingSize]`: a token's score is at `row * embeddingSize + token`. */
  readonly logits: Float32Array;
  /** `[rows]`: the position of each row in the sequence. */
  readonly positions: Uint32Array;
  /**
   * Hidden states `[rows, hiddenSize]` by name: `embed` after the embedding, `block.<i>.out` after
   * layer i, from 0, and `final_norm`, the input of the head.
   */
  readonly hidden: ReadonlyMap<string, Float32Array>;
}

/** What requests share of a model. */
export interface SharedLimits {
  /** Rows of one pass. */
  readonly rows?: number;
  /** Pages of keys and values, of 32 positions each. */
  readonly pages?: number;
  /** Pages beyond those for states, while they are verified. */
  readonly statePages?: number;
}

/** A model on the GPU. Calls must not overlap: await one before the next. */
export class Model implements Predictor, BatchModel, Disposable {
  /** Reads results back, and counts the readbacks. */
  readonly readback: Readback;
  readonly recorder: Recorder;
  /** Measured speed of the steps. */
  readonly pace = new StepPace();
  readonly #context: PredictionContext;
  readonly #owned: readonly (Tensor | Texels)[];
  readonly #pool: KeyValuePool;
  readonly #batching: Batching;
  readonly #mostRows: number;

  /**
   * Made by `loadModel`.
   * @param owned every tensor of `weights`, freed with the model
   * @param kvCache type that keys and values are kept in; default: f16 if the device has it
   * @param shared.rows rows of a pass that requests share (default 512, or those of the longest
   * sequence)
   * @param shared.pages pages of keys and values of all canvases; default: as many as the device binds,
   * within reason
   * @param shared.statePages pages beyond those for states; default: as many as the device binds
   * @throws {GpuError} when the device does not have that type
   */
  constructor(
    readonly gpu: Gpu,
    readonly config: ModelConfig,
    recorder: Recorder,
    weights: ModelWeights,
    owned: readonly (Tensor | Texels)[],
    readonly also?: Disposable,
    kvCache?: Element,
    shared: SharedLimits = {},
  ) {
    const element = keptElement(gpu, kvCache);
    this.recorder = recorder;
    this.readback = new Readback(gpu);
    this.#owned = owned;
    const scratch = new Scratch(gpu, recorder);
    const family = familyOf(config);
    this.#context = {
      gpu,
      recorder,
      scratch,
      config,
      weights,
      family,
      kvCache: element,
      pace: this.pace,
    };
    this.#pool = new KeyValuePool(this.#context, shared);
    const space = {
      context: this.#context,
      readback: this.readback,
      pool: this.#pool,
      regions: new Regions(),
    };
    const { maxSequenceLength } = config;
    const limits = shared.rows === undefined
      ? undefined
      : plannedLimits(maxSequenceLength, shared.rows);
    this.#batching = new Batching(space, (body) => this.#run(body), limits);
    this.#mostRows = shared.rows ?? Math.max(SHARED_ROWS, maxSequenceLength);
  }

  /**
   * @throws {RangeError} naming what is wrong with an input
   * @throws {GpuError} when one sequence is too long for the device, or the device failed
   */
  async predict(asked: readonly ForwardInput[]): Promise<Prediction[][]> {
    const [predictions] = await this.runTogether([this.predictJob(asked)], 1);
    return predictions;
  }

  /** Opens a canvas. @throws {GpuError} when the sequences do not fit the device together */
  // deno-lint-ignore require-await -- errors must reach the caller as rejections
  async openCanvas(opened: readonly CanvasSequence[]): Promise<Canvas> {
    return new DeviceCanvas(this, this.canvas(opened));
  }

  /** Rows that one shared pass may have at most, as planned. */
  get mostRows(): number {
    return Math.min(this.#batching.most, this.#mostRows);
  }

  /** Rows that a pass of one sequence may have at most, its twin and its shadows included. */
  get widestPass(): number {
    return this.#batching.widest;
  }

  /** Pages of keys and values of all canvases. */
  get pages(): PagePool {
    return this.#pool.book;
  }

  /** Sets pages aside for a request before it begins; undefined when there are too few now. */
  reserve(pages: number): PageReservation | undefined {
    return this.#pool.book.reserve(pages);
  }

  /**
   * As {@linkcode Model.predict}, for a pass that others may share.
   * @throws {RangeError} naming what is wrong with an input
   * @throws {GpuError} when one sequence is too long for the device
   */
  predictJob(inputs: readonly ForwardInput[]): PassJob<Prediction[][]> {
    return this.#batching.predictJob(inputs);
  }

  /**
   * As {@linkcode Model.rankAt}, for a pass that others may share.
   * @throws {RangeError} naming what is wrong with the input, the choice or `k`
   * @throws {GpuError} when the sequence is too long for the device
   */
  rankJob(
    asked: Pick<ForwardInput, "ids" | "positions">,
    choice: RankChoice,
    k: number,
  ): PassJob<Ranking> {
    return this.#batching.rankJob(asked, choice, k);
  }

  /**
   * As {@linkcode Model.logitsAt}, for a pass that others may share.
   * @throws {RangeError} naming what is wrong with the input
   * @throws {GpuError} when the sequence is too long for the device
   */
  logitsJob(asked: Pick<ForwardInput, "ids" | "positions">): PassJob<Float32Array> {
    return this.#batching.logitsJob(asked);
  }

  /**
   * Opens a canvas whose passes others may share.
   * @param reserved where its pages come from; without it they come from those that are free
   * @throws {RangeError} naming what is wrong with a sequence
   * @throws {GpuError} when the sequences do not fit the device together
   */
  canvas(sequences: readonly CanvasSequence[], reserved?: PageReservation): BatchCanvas {
    return this.#batching.canvas(sequences, reserved);
  }

  /**
   * Runs jobs in shared passes, as {@linkcode BatchModel.runTogether} says.
   * @throws {GpuError} when a job does not fit the device, or the device failed
   */
  runTogether<const T extends readonly PassJob<unknown>[]>(
    jobs: T,
    passes: number,
    options?: TogetherOptions,
  ): Promise<JobResults<T>> {
    return this.#batching.run(jobs, passes, options);
  }

  /**
   * Computes logits and hidden states of one sequence and reads all of them back, for inspection.
   * @param options.kept whether to compute like a pass that keeps keys and values (default false)
   * @throws {RangeError} naming what is wrong with the input
   */
  async forward(
    ids: Uint32Array,
    options: { readonly attentionMask?: Uint8Array; readonly kept?: boolean } = {},
  ): Promise<ForwardResult> {
    const sequence = { ids, attentionMask: options.attentionMask };
    checkInput(this.config, sequence, "input");
    this.#batching.checkRows(rowsOf(sequence));
    const packed = packRows([sequence]);
    const { positions } = packed.sequences[0];
    let result: ForwardResult = { logits: new Float32Array(), positions, hidden: new Map() };
    await this.#run(async () => {
      const pass = { batch: uploadRows(this.#context, packed), kept: options.kept ?? false };
      result = { ...await observedPass(this.#context, this.readback, pass), positions };
    });
    return result;
  }

  /**
   * Finds the k likeliest tokens at some positions of one sequence, largest logit first. Only these
   * are read back.
   * @returns for each position, `min(k, embeddingSize)` tokens
   */
  async topTokens(
    asked: Pick<ForwardInput, "ids" | "attentionMask" | "positions" | "guidance">,
    k: number,
  ): Promise<RankedToken[][]> {
    checkInput(this.config, asked, "input");
    const input = withoutIdleGuidance(asked);
    this.#batching.checkRows(rowsOf(input));
    if (!Number.isInteger(k) || k < 1) {
      throw new RangeError(`k is ${k}, expected a whole number from 1`);
    }
    let found: RankedToken[][] = [];
    await this.#run(async () => {
      const most = Math.min(k, this.config.embeddingSize);
      found = await topTokensOf(this.#context, this.readback, input, most);
    });
    return found;
  }

  /**
   * Runs sequences whole, and adds up over all of their positions how much every channel of the
   * feed-forward layers and of the heads carries.
   * @throws {RangeError} naming what is wrong with an input
   */
  async magnitudes(asked: readonly Pick<ForwardInput, "ids">[]): Promise<Magnitudes> {
    asked.forEach((input, i) => checkInput(this.config, input, `inputs[${i}]`));
    const sums = noMagnitudes(this.config);
    for (const input of asked) this.#batching.checkRows(rowsOf(input));
    for (const group of groupsOf(asked, this.#batching.most)) {
      await this.#run(async () => {
        const batch = uploadRows(this.#context, packRows(group.map((i) => asked[i])));
        await addMagnitudes(this.#context, this.readback, batch, sums);
      });
    }
    return sums;
  }

  /**
   * Computes the logits at some positions of one sequence and reads them back.
   * @returns `[positions, embeddingSize]`, row-major
   */
  async logitsAt(asked: Pick<ForwardInput, "ids" | "positions">): Promise<Float32Array> {
    const [logits] = await this.runTogether([this.logitsJob(asked)], 1);
    return logits;
  }

  /**
   * Ranks the tokens at some positions of one sequence. Only the best are read back, what the softmax
   * of each row needs, and all logits of the first.
   * @param k tokens that are ranked, at most 256
   */
  async rankAt(
    asked: Pick<ForwardInput, "ids" | "positions">,
    choice: RankChoice,
    k: number,
  ): Promise<Ranking> {
    const [ranked] = await this.runTogether([this.rankJob(asked, choice, k)], 1);
    return ranked;
  }

  /**
   * A model of the first layers on the same weights, to see what a layer costs. Dispose of it before
   * this one; that leaves the weights.
   */
  firstLayers(count: number): Model {
    return this.onlyLayers([...Array(count).keys()]);
  }

  /**
   * A model of some of the layers on the same weights, to see what the others are worth. It has the
   * bits of a folder without them. Dispose of it before this one; that leaves the weights.
   * @param kept indices of layers, ascending
   */
  onlyLayers(kept: readonly number[]): Model {
    const { gpu, weights, kvCache } = this.#context;
    const layers = kept.map((layer) => weights.layers[layer]);
    const config = { ...this.config, layers: kept.length };
    const recorder = new Recorder(gpu);
    return new Model(gpu, config, recorder, { ...weights, layers }, [], undefined, kvCache);
  }

  /** What a forward pass needs, for one that others record, with a recorder and scratch of their own. */
  get context(): PredictionContext {
    return this.#context;
  }

  /** Frees everything on the GPU; the device stays. */
  [Symbol.dispose](): void {
    this.#context.scratch[Symbol.dispose]();
    this.#pool[Symbol.dispose]();
    this.readback[Symbol.dispose]();
    this.recorder[Symbol.dispose]();
    for (const one of this.#owned) one.destroy();
    this.also?.[Symbol.dispose]();
  }

  /**
   * Takes the scratch memory that the largest shared runs take beside their passes, as planned.
   * @param isDraft whether no request asks for rankings or logits
   */
  async takeRunMemory(isDraft: boolean): Promise<void> {
    await this.#run(() => this.#batching.takeMemory(isDraft));
  }

  /** Frees scratch memory of answers after memory ran out; the next answer allocates its own. */
  async freeScratch(): Promise<void> {
    this.recorder.abandon();
    this.#context.scratch[Symbol.dispose]();
    this.#pool.freeUnused();
    this.readback[Symbol.dispose]();
    await turnEventLoop();
    this.gpu.forgetOutOfMemory();
  }

  /**
   * Runs a call. If it fails, its commands are dropped, so that the next call does not submit them.
   */
  async #run(body: () => Promise<void>): Promise<void> {
    try {
      this.gpu.throwIfFaulty();
      await body();
    } catch (error) {
      this.recorder.abandon();
      if (error instanceof GpuMemoryError) await this.freeScratch();
      throw error;
    }
  }
}
