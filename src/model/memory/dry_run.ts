/**
 * Finds how much GPU memory a model would take. The real code of loading and denoising runs on a
 * device that counts bytes instead of computing. Weights are not read.
 */

import type { Canvas, ForwardInput, TokenChoice } from "../../denoise/predictor.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { Element } from "../../gpu/kernel.ts";
import { Recorder } from "../../gpu/recorder.ts";
import { TEXEL_BYTES } from "../../gpu/texels.ts";
import type { WeightMatrix } from "../../kernels/weight_matrix.ts";
import { bytesPerColumn } from "../../quant/scheme.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import type { TensorSlice } from "../../weights/safetensors.ts";
import type { ModelConfig } from "../loading/config.ts";
import { familyOf } from "../family.ts";
import type { LayerWeights, ModelWeights } from "../forward_pass.ts";
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

/** What a memory plan depends on of a device; the rows of matrix units take memory. */
export type DeviceLimits =
  & Pick<Gpu, "name" | "limits" | "features" | "rowForm" | "checkBufferSize">
  & Partial<Pick<Gpu, "matrixUnits">>;

/** An unknown device: it has f16, and limits that nothing reaches. */
export const UNLIMITED: DeviceLimits = {
  name: "an unknown adapter",
  rowForm: "uniform",
  features: ["shader-f16"],
  limits: {
    maxBufferSize: 2 ** 52,
    maxStorageBufferBindingSize: 2 ** 52,
    maxComputeWorkgroupsPerDimension: 2 ** 52,
    minUniformBufferOffsetAlignment: 256,
    minStorageBufferOffsetAlignment: 256,
  } as GPUSupportedLimits,
  checkBufferSize() {},
};

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
   * States that are also verified in one batch (default none). A model that verifies also answers with
   * sampling, log-probabilities and constraints.
   */
  readonly states?: number;
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
      );
      const canvas = await openedCanvas(model, request);
      // The canvas stays open, as it is while a strategy verifies states.
      if (request.states) {
        await model.predict(states(config, request, request.states));
        await sampled(model, request, request.states);
      }
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

/** Inputs such as a strategy with proposals verifies. */
function states(config: ModelConfig, request: AnswerShape, count: number): ForwardInput[] {
  const { promptTokens, maxTokens, blockLength } = request;
  const ids = idsOf(config, request);
  const positions = Uint32Array.from(
    { length: Math.min(blockLength, maxTokens) },
    (_, i) => promptTokens + i,
  );
  return Array.from({ length: count }, () => ({ ids, positions, choice: CHOICE }));
}

/**
 * Passes whose logits are stored: with every sampling field and log-probabilities, and of constrained
 * answers. Of these `count` share a pass: their rankings are in memory together, their logits are not.
 */
async function sampled(model: Model, request: AnswerShape, count: number): Promise<void> {
  const [input] = states(model.config, request, 1);
  const tokens = Math.min(model.config.embeddingSize, MOST_BIASES + input.ids.length);
  const changes = Array.from(
    { length: tokens },
    (_, token) => ({ token, repetition: 1, offset: 0 }),
  );
  const sampling = { topK: 2, topP: 0.5, minP: 0.5, changes, likeliest: MOST_LIKELIEST };
  const choice = { ...CHOICE, sampling };
  await model.predict([{ ...input, choice }]);
  const jobs = Array.from({ length: count }, () => model.rankJob(input, choice, TRIES));
  await model.runTogether(jobs, 1);
}

function idsOf(config: ModelConfig, { promptTokens, maxTokens }: AnswerShape): Uint32Array {
  return new Uint32Array(promptTokens + maxTokens).fill(config.maskTokenId, promptTokens);
}

/** Adds a size. @returns takes it away again, once */
function counted(size: number, add: (bytes: number) => void): () => void {
  add(size);
  let live = true;
  return () => {
    if (live) add(-size);
    live = false;
  };
}

/** Counts the memory that is allocated. */
class CountedMemory {
  /** Bytes of all buffers and textures that live on the GPU. */
  bytes = 0;
  /** Peak of buffers that the host writes, plus bytes written since the last wait for the GPU. */
  mostHostBytes = 0;
  #hostBytes = 0;
  #inFlight = 0;

  createBuffer({ size, usage }: GPUBufferDescriptor): GPUBuffer {
    const destroy = counted(size, (bytes) => {
      if (usage & GPUBufferUsage.MAP_WRITE) this.#onHost(bytes, 0);
      else this.bytes += bytes;
    });
    // Readbacks give zeros, so nothing is committed.
    const mapAsync = () => {
      this.wait();
      return Promise.resolve();
    };
    const mapping = { mapAsync, unmap() {} };
    const getMappedRange = (_offset: number, length: number) => new ArrayBuffer(length);
    return { size, destroy, getMappedRange, ...mapping } as unknown as GPUBuffer;
  }

  /** All texels are of 16 bytes. */
  createTexture({ size }: GPUTextureDescriptor): GPUTexture {
    const texels = [...size as Iterable<number>].reduce((product, side) => product * side, 1);
    const destroy = counted(TEXEL_BYTES * texels, (bytes) => this.bytes += bytes);
    return { createView: () => ({}), destroy } as unknown as GPUTexture;
  }

  write(bytes: number): void {
    this.#onHost(0, bytes);
  }

  wait(): void {
    this.#inFlight = 0;
  }

  #onHost(mapped: number, written: number): void {
    this.#hostBytes += mapped;
    this.#inFlight += written;
    this.mostHostBytes = Math.max(this.mostHostBytes, this.#hostBytes + this.#inFlight);
  }
}

/** A `Gpu` whose device counts allocations in `memory` and does nothing else. */
function countingGpu(
  memory: CountedMemory,
  { name, limits, features, rowForm, checkBufferSize, matrixUnits }: DeviceLimits,
): Gpu {
  const nothing = () => ({});
  const queue = {
    writeBuffer(_to: GPUBuffer, _at: number, data: ArrayBufferView, _from = 0, bytes?: number) {
      memory.write(bytes ?? data.byteLength);
    },
    submit() {},
    onSubmittedWorkDone() {
      memory.wait();
      return Promise.resolve();
    },
  };
  const pass = { setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} };
  const device = {
    queue,
    createBuffer: (descriptor: GPUBufferDescriptor) => memory.createBuffer(descriptor),
    createTexture: (descriptor: GPUTextureDescriptor) => memory.createTexture(descriptor),
    createShaderModule: nothing,
    createBindGroupLayout: nothing,
    createPipelineLayout: nothing,
    createComputePipeline: nothing,
    createBindGroup: nothing,
    createCommandEncoder: () => ({
      beginComputePass: () => pass,
      copyBufferToBuffer() {},
      copyBufferToTexture() {},
      finish: nothing,
    }),
  };
  return {
    device: device as unknown as GPUDevice,
    name,
    identity: "",
    limits,
    subgroups: false,
    rowForm,
    matrixUnits,
    features,
    native: false,
    software: false,
    directives: "",
    throwIfFaulty() {},
    forgetOutOfMemory() {},
    checkBufferSize,
    [Symbol.dispose]() {},
  };
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
