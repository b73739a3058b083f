/**
 * Finds how much GPU memory a model would take. The real code of loading and denoising runs on a
 * device that counts bytes instead of computing. Weights are not read.
 */

import type { Canvas, TokenChoice } from "../../denoise/predictor.ts";
import type { Element } from "../../gpu/kernel.ts";
import { Recorder } from "../../gpu/recorder.ts";
import type { WeightMatrix } from "../../kernels/weight_matrix.ts";
import { bytesPerColumn } from "../../quant/scheme.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import type { TensorSlice } from "../../weights/safetensors.ts";
import type { ModelConfig } from "../loading/config.ts";
import { CountedMemory, countingGpu, type DeviceLimits } from "./counting_gpu.ts";
import { familyOf } from "../family.ts";
import { plannedLimits } from "../batch/run_limits.ts";
import { LOGIT_ROWS } from "../logits.ts";
import { type LayerWeights, type ModelWeights, mostRows } from "../forward_pass.ts";
import { Model } from "../model.ts";
import { TRIES } from "../ranked_pass.ts";
import { type WeightPrecision, WeightUpload } from "../loading/upload.ts";
import { WeightStream } from "../loading/weight_stream.ts";

/** Denoising steps between two readbacks: the default of `denoise`. */
const CHAINED_STEPS = 4;

/** The likeliest token. */
const CHOICE: TokenChoice = {
  temperature: 0,
  seed: 0,
  step: 0,
  bannedTokens: [],
  unconfidentTokens: [],
};

/** Most biases of a request, beside which each token of prompt and answer may have a penalty. */
const MOST_BIASES = 300;
/** Most likeliest tokens that a request reports at a position. */
const MOST_LIKELIEST = 20;

/** A weight matrix as it would lie on the GPU. */
export interface PlannedMatrix {
  readonly name: string;
  readonly scheme: string;
  readonly bytes: number;
  /** Number of buffers that it is split into. */
  readonly parts: number;
}

/** A model as it would lie on the GPU. */
export interface DryRun {
  /** Bytes of all weights and the rotation table. */
  readonly weightBytes: number;
  /** Bytes of the matrices that a pass reads from end to end: of the embedding it reads single rows. */
  readonly passBytes: number;
  /** GPU bytes in use only while loading. */
  readonly loadingBytes: number;
  /** Peak of the host memory that the GPU reads from or the driver keeps for it, in bytes. */
  readonly hostBytes: number;
  /** The largest matrix. */
  readonly largest: PlannedMatrix;
  /** The layers' weights, in buffers without content. */
  readonly layers: readonly LayerWeights[];
  /**
   * Bytes that a model's first generation takes besides the weights.
   * @throws {GpuError} naming the limit, when the device cannot hold so many rows
   */
  activationBytes(request: AnswerShape): Promise<number>;
}

/** The shape of a generation. */
export interface AnswerShape {
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly blockLength: number;
  /** Whether keys and values are kept (default false). */
  readonly cache?: boolean;
  /** Type that they are kept in; default: f16 if the device has it, else f32. */
  readonly kvCache?: Element;
  /**
   * Requests that share its passes (default none): with them the most is counted that any mix of
   * requests takes.
   */
  readonly shared?: {
    /** Rows of a pass. */
    readonly rows: number;
    /** Whether the model is only asked for guesses: no log-probabilities, and no constraints. */
    readonly isDraft: boolean;
  };
}

/**
 * Loads a checkpoint onto a device that only counts.
 * @throws {CheckpointError} when a tensor is not as the configuration says
 * @throws {GpuError} when the device cannot hold it
 */
export async function dryRun(
  config: ModelConfig,
  checkpoint: Checkpoint,
  device: DeviceLimits,
  precision: WeightPrecision = {},
): Promise<DryRun> {
  const memory = new CountedMemory();
  const gpu = countingGpu(memory, device);
  const recorder = new Recorder(gpu);
  const before = memory.bytes;
  const upload = new WeightUpload(gpu, recorder, checkpoint, {
    stored: config.quantisation,
    arithmetic: precision.arithmetic,
    stream: UnreadWeights,
  });
  const weights = await familyOf(config).upload(upload, config, precision);
  await upload.release();
  const whileLoading = memory.bytes - before;
  await upload[Symbol.asyncDispose]();
  recorder[Symbol.dispose]();
  const weightBytes = memory.bytes;
  const head = describe("head", weights.head).bytes;
  return {
    weightBytes,
    passBytes: weights.layers.flatMap(layerMatrices).reduce((sum, { bytes }) => sum + bytes, head),
    loadingBytes: whileLoading - weightBytes,
    hostBytes: memory.mostHostBytes,
    largest: largestOf(matricesOf(weights)),
    layers: weights.layers,
    async activationBytes(request) {
      using model = new Model(
        gpu,
        config,
        new Recorder(gpu),
        weights,
        [],
        undefined,
        request.kvCache,
        request.shared && { rows: request.shared.rows },
      );
      const canvas = await openedCanvas(model, request);
      // The canvas stays open, as it is while others are answered.
      if (request.shared) await sharePasses(model, request.shared);
      const bytes = memory.bytes - weightBytes;
      canvas.destroy();
      return bytes;
    },
  };
}

/** Opens a canvas and runs the steps of one readback. */
async function openedCanvas(model: Model, request: AnswerShape): Promise<Canvas> {
  const { promptTokens, maxTokens, blockLength, cache } = request;
  const { maskTokenId: maskToken, eosTokenId } = model.config;
  const canvas = await model.openCanvas([{
    ids: idsOf(model.config, request),
    promptLength: promptTokens,
    endTokens: [eosTokenId],
    maskToken,
  }]);
  const steps = Array.from({ length: Math.min(CHAINED_STEPS, maxTokens) }, (_, step) => {
    const blockStart = promptTokens + step - step % blockLength;
    const blockEnd = Math.min(blockStart + blockLength, promptTokens + maxTokens);
    const part = step === 0 ? "refresh" as const : { first: blockStart, end: blockEnd };
    return {
      blockEnd,
      commits: 1,
      cache: cache ? part : undefined,
      remasking: "low_confidence" as const,
      choices: [{ ...CHOICE, step }],
      stopAtEnd: true,
    };
  });
  await canvas.run(steps);
  return canvas;
}

/**
 * Passes that ask for the most that any mix of requests does: as many rows, all of them asked, and one
 * question of each kind at all positions of a context, with every sampling field. Questions of the other
 * requests take the same scratch memory in turn.
 */
async function sharePasses(
  model: Model,
  { rows, isDraft }: NonNullable<AnswerShape["shared"]>,
): Promise<void> {
  const { gpu, config } = model;
  const { maskTokenId, maxSequenceLength: context, embeddingSize } = config;
  const inputOf = (length: number, guided = false) => {
    const ids = new Uint32Array(length).fill(maskTokenId);
    const guidance = guided ? { scale: 1, unconditionalIds: ids } : undefined;
    return { ids, positions: Uint32Array.from(ids.keys()), guidance };
  };
  const device = mostRows(gpu, config);
  const plain = inputOf(context);
  // Where a device has no room for both sequences, requests with guidance are shorter.
  const half = Math.floor(device / 2);
  const guided = inputOf(Math.max(1, Math.min(context, half)), true);
  const changes = Array.from(
    { length: Math.min(embeddingSize, MOST_BIASES + context) },
    (_, token) => ({ token, repetition: 1, offset: 0 }),
  );
  const likeliest = isDraft ? undefined : MOST_LIKELIEST;
  const sampling = { topK: 2, topP: 0.5, minP: 0.5, changes, likeliest };
  const choice = { ...CHOICE, sampling };
  for (const input of [plain, guided]) {
    const own = input.ids.length * (input.guidance ? 2 : 1);
    const inputs = Array.from({ length: Math.floor(rows / own) }, () => input);
    const rest = input.guidance ? (rows % own) >> 1 : rows % own;
    if (rest > 0) inputs.push(inputOf(rest, input === guided));
    await model.predict(inputs.map((input) => ({ ...input, choice: CHOICE })));
    await model.predict([{ ...input, choice: CHOICE }]);
    await model.predict([{ ...input, choice }]);
    if (isDraft) continue;
    const some = input.positions.subarray(0, LOGIT_ROWS);
    for (const [positions, k] of [[some, 1], [some.subarray(0, 1), embeddingSize]] as const) {
      await model.topTokens({ ...input, positions }, k);
    }
  }
  // The widest pass of one request, and with shadows.
  const widest = Math.min(device, plannedLimits(context, rows).rows);
  const shadows = guided.positions.subarray(0, (widest >> 1) - guided.ids.length);
  await model.predict([{ ...guided, shadows, choice: CHOICE }]);
  if (!isDraft) {
    // Rows of one piece have their best tokens in memory together; all of them are listed.
    await model.rankAt(
      { ...plain, positions: plain.positions.slice(0, LOGIT_ROWS) },
      choice,
      TRIES,
    );
    await model.rankAt(plain, CHOICE, 1);
  }
  await model.takeRunMemory(isDraft);
}

function idsOf(config: ModelConfig, { promptTokens, maxTokens }: AnswerShape): Uint32Array {
  return new Uint32Array(promptTokens + maxTokens).fill(config.maskTokenId, promptTokens);
}

/** A stream that allocates its buffers but does not read the checkpoint's data. */
class UnreadWeights extends WeightStream {
  override vector({ shape }: TensorSlice): Float32Array<ArrayBuffer> {
    return new Float32Array(shape.reduce((elements, size) => elements * size, 1));
  }

  override table(): void {}

  override fill(): Promise<void> {
    return Promise.resolve();
  }
}

function matricesOf({ embedding, head, layers }: ModelWeights): PlannedMatrix[] {
  return [
    describe("embedding", embedding),
    ...head === embedding ? [] : [describe("head", head)],
    ...layers.flatMap(layerMatrices),
  ];
}

function layerMatrices(
  { qkv, attentionOut, gateUp, down }: LayerWeights,
  layer: number,
): PlannedMatrix[] {
  return [
    describe(`layer ${layer} q, k and v`, qkv, 2),
    describe(`layer ${layer} attention output`, attentionOut),
    describe(`layer ${layer} gate and up`, gateUp, 2),
    describe(`layer ${layer} down`, down),
  ];
}

/** @param each columns of the matrix that are counted as one */
function describe(
  name: string,
  { scheme, blocks, columns, parts }: WeightMatrix,
  each = 1,
): PlannedMatrix {
  const bytes = each * columns * bytesPerColumn(scheme, 8 * blocks);
  return { name, scheme: scheme.name, bytes, parts: parts.length };
}

function largestOf(matrices: readonly PlannedMatrix[]): PlannedMatrix {
  return matrices.reduce((largest, matrix) => matrix.bytes > largest.bytes ? matrix : largest);
}
