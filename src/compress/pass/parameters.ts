/** The weights of a model in training: f32 master weights on the GPU, and gradients beside them. */

import { byteSize, toF32 } from "../../gpu/dtype.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { Readback } from "../../gpu/readback.ts";
import { Recorder } from "../../gpu/recorder.ts";
import { createTensor, type Tensor, tensorOf, upload } from "../../gpu/tensor.ts";
import type { Texels } from "../../gpu/texels.ts";
import { rotationTable } from "../../kernels/qkv.ts";
import { readConfig } from "../../model/loading/config.ts";
import { checkTensors } from "../../model/loading/tensors.ts";
import { WeightUpload } from "../../model/loading/upload.ts";
import { notFinite } from "../../model/loading/weight_stream.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import type { QuantScheme } from "../../quant/scheme.ts";
import { type Checkpoint, openCheckpoint } from "../../weights/checkpoint.ts";
import { ConfigError } from "../../weights/model_file_error.ts";
import { type PackedMatrix, rowIdsOf } from "./packed_matrix.ts";
import {
  layoutPieces,
  padded,
  paddedElements,
  type ParameterLayout,
  parameterLayouts,
  unpadded,
} from "./parameter_layout.ts";

/** One tensor of a model in training. */
export interface Parameter {
  /** Name in the checkpoint. */
  readonly name: string;
  readonly layout: ParameterLayout;
  readonly weight: Tensor;
  /** Laid out like the weight; undefined where the tensor is frozen. */
  readonly gradient: Tensor | undefined;
}

/** What is trained of a model. */
export interface ParameterOptions {
  /** Whether a tensor has a gradient; default: all have. */
  readonly trains?: (name: string) => boolean;
  /** Longest sequence; default as config.json says. */
  readonly context?: number;
}

/** Matrices that are not among the parameters, and the tensors that hold them. */
interface Packed {
  readonly matrices: ReadonlyMap<string, PackedMatrix>;
  readonly owned: readonly (Tensor | Texels)[];
}

/** All tensors of a model in training, by the checkpoint's names. Dispose of it to free them. */
export class TrainingParameters implements Disposable {
  readonly gpu: Gpu;
  readonly config: ModelConfig;
  /** `[maxSequenceLength, headDim / 2]` of (cos, sin) */
  readonly rotation: Tensor;
  /** Frozen matrices that are not among the others, by name. */
  readonly packed: ReadonlyMap<string, PackedMatrix>;
  readonly #byName = new Map<string, Parameter>();
  readonly #owned: readonly (Tensor | Texels)[];

  /** Makes tensors of zeros. @throws {GpuError} naming a tensor that does not fit the device */
  constructor(
    gpu: Gpu,
    config: ModelConfig,
    options: ParameterOptions = {},
    packed: Packed = { matrices: new Map(), owned: [] },
  ) {
    this.gpu = gpu;
    this.packed = packed.matrices;
    this.#owned = packed.owned;
    const { trains = () => true, context = config.maxSequenceLength } = options;
    this.config = { ...config, maxSequenceLength: context };
    using made = new DisposableStack();
    made.defer(() => this.#owned.forEach((tensor) => tensor.destroy()));
    const layouts = parameterLayouts(config).filter(({ name }) => !this.packed.has(name));
    for (const layout of layouts) {
      made.defer(() => this.#free(layout.name));
      this.add(layout, trains(layout.name));
    }
    this.rotation = tensorOf(
      gpu,
      "rotation",
      rotationTable(context, config.headDim, config.ropeTheta),
    );
    made.move();
  }

  /**
   * Loads a model folder of floats of any type.
   * @throws {ConfigError} when config.json is wrong, or the weights are quantised
   * @throws {CheckpointError} naming the tensor that is wrong, or has infinite numbers or none
   */
  static load(gpu: Gpu, dir: string, options: ParameterOptions = {}): TrainingParameters {
    const config = readConfig(dir);
    using checkpoint = openCheckpoint(dir);
    return TrainingParameters.of(gpu, config, checkpoint, options);
  }

  /** Uploads an open checkpoint; errors are as those of {@linkcode TrainingParameters.load}. */
  static of(
    gpu: Gpu,
    config: ModelConfig,
    checkpoint: Checkpoint,
    options: ParameterOptions = {},
  ): TrainingParameters {
    checkFloats(config, checkpoint);
    using made = new DisposableStack();
    const parameters = made.use(new TrainingParameters(gpu, config, options));
    parameters.#read(checkpoint);
    made.move();
    return parameters;
  }

  /**
   * Loads a model folder of floats whose matrices stay in a scheme, the embedding and the head as they
   * are stored: nothing trains but adapters that join them, and norms have no gradients.
   * @param scheme of the layers' matrices; default: as they are stored
   * @throws as {@linkcode TrainingParameters.load}
   */
  static async frozen(
    gpu: Gpu,
    dir: string,
    options: { readonly scheme?: QuantScheme; readonly context?: number } = {},
  ): Promise<TrainingParameters> {
    const config = readConfig(dir);
    using checkpoint = openCheckpoint(dir);
    checkFloats(config, checkpoint);
    using recorder = new Recorder(gpu);
    await using upload = new WeightUpload(gpu, recorder, checkpoint);
    using made = new DisposableStack();
    const ids: Tensor[] = [];
    made.defer(() => ids.forEach((tensor) => tensor.destroy()));
    const matrices = new Map<string, PackedMatrix>();
    for (const layout of parameterLayouts(config)) {
      const { name, shape: [out, inner] } = layout;
      if (inner === undefined) continue;
      const scheme = name.includes(".blocks.") ? options.scheme : undefined;
      const matrix = await upload.stacked([name], [out], inner, scheme);
      const rowIds = rowIdsOf(gpu, layout);
      ids.push(rowIds);
      matrices.set(name, { name, layout, matrix, rowIds });
    }
    const owned = [...await upload.release(), ...ids];
    made.move();
    const packed = { matrices, owned };
    using loaded = new DisposableStack();
    const frozen = { context: options.context, trains: () => false };
    const parameters = loaded.use(new TrainingParameters(gpu, config, frozen, packed));
    parameters.#read(checkpoint);
    loaded.move();
    return parameters;
  }

  #read(checkpoint: Checkpoint): void {
    for (const { layout, weight } of this.list) {
      const slice = checkpoint.tensor(layout.name, { shape: layout.shape });
      const size = byteSize(slice.dtype);
      for (const piece of layoutPieces(layout)) {
        const bytes = new Uint8Array(size * piece.count);
        checkpoint.readInto(slice, bytes, size * piece.first);
        const values = toF32(bytes, slice.dtype);
        if (!values.every(Number.isFinite)) throw notFinite(slice);
        upload(this.gpu, weight, padded(piece.layout, values), piece.paddedFirst);
        // Frees the copies that the queue holds.
        this.gpu.device.queue.submit([]);
      }
    }
  }

  /** All tensors, in the order of the family. */
  get list(): Parameter[] {
    return [...this.#byName.values()];
  }

  /** The tensors that have gradients. */
  get trained(): (Parameter & { readonly gradient: Tensor })[] {
    return this.list.filter((one): one is Parameter & { gradient: Tensor } => !!one.gradient);
  }

  /** @throws {RangeError} when there is no tensor of this name */
  get(name: string): Parameter {
    const found = this.#byName.get(name);
    if (!found) throw new RangeError(`there is no tensor ${name}`);
    return found;
  }

  /** Whether there is a tensor of this name. */
  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Adds a tensor of zeros, as adapters need. */
  add(layout: ParameterLayout, trains: boolean): Parameter {
    const { name } = layout;
    const elements = paddedElements(layout);
    const weight = createTensor(this.gpu, name, elements);
    let gradient: Tensor | undefined;
    try {
      gradient = trains ? createTensor(this.gpu, `gradient of ${name}`, elements) : undefined;
    } catch (error) {
      weight.destroy();
      throw error;
    }
    const parameter = { name, layout, weight, gradient };
    this.#byName.set(name, parameter);
    return parameter;
  }

  /**
   * Replaces a tensor's numbers, as the checkpoint has them, without padding. What is recorded must
   * have been submitted.
   * @param values `[product of shape]`
   */
  set(name: string, values: ArrayLike<number>): void {
    const { layout, weight } = this.get(name);
    upload(this.gpu, weight, padded(layout, values));
  }

  /** Records that all gradients become zero. */
  clearGradients(recorder: Recorder): void {
    for (const { gradient } of this.trained) recorder.clear(gradient);
  }

  #free(name: string): void {
    const found = this.#byName.get(name);
    found?.weight.destroy();
    found?.gradient?.destroy();
    this.#byName.delete(name);
  }

  [Symbol.dispose](): void {
    for (const name of [...this.#byName.keys()]) this.#free(name);
    for (const tensor of this.#owned) tensor.destroy();
    this.rotation.destroy();
  }
}

/** @throws {ConfigError} when weights are quantised */
function checkFloats(config: ModelConfig, checkpoint: Checkpoint): void {
  if (config.quantisation) {
    throw new ConfigError({
      file: checkpoint.file,
      field: "quantization_config",
      found: `weights of ${config.quantisation.scheme.bits} bits`,
      expected: "weights that are floats, since only these can be trained",
      remedy: "Give the folder that was quantised.",
    });
  }
  checkTensors(config, checkpoint);
}

/**
 * Reads numbers that lie like a parameter back, in pieces of a few megabytes.
 * @param tensor a weight, a gradient, or a state of the optimiser
 * @returns pieces of `[product of shape]`, in order
 */
export async function* readPieces(
  readback: Readback,
  recorder: Recorder,
  layout: ParameterLayout,
  tensor: Tensor,
): AsyncGenerator<Float32Array<ArrayBuffer>, void, void> {
  for (const piece of layoutPieces(layout)) {
    const elements = paddedElements(piece.layout);
    const part = tensor.part(piece.paddedFirst, elements);
    const bytes = await readback.read(recorder, part, 4 * elements);
    yield unpadded(piece.layout, new Float32Array(bytes));
  }
}

/** Reads numbers that lie like a parameter back, all at once. `[product of shape]` */
export async function readParameter(
  readback: Readback,
  recorder: Recorder,
  layout: ParameterLayout,
  tensor: Tensor,
): Promise<Float32Array<ArrayBuffer>> {
  const values = new Float32Array(layout.shape.reduce((product, size) => product * size, 1));
  let at = 0;
  for await (const piece of readPieces(readback, recorder, layout, tensor)) {
    values.set(piece, at);
    at += piece.length;
  }
  return values;
}
