/**
 * How much neurons and heads are worth, measured on text: what pruning by width goes by.
 *
 * A neuron's importance is the mean of `|silu(gate x) * (up x)|` over all positions. A head's is the
 * sum, over its channels, of the channel's mean magnitude before the output projection times the norm
 * of the projection's column: it bounds how much the head adds to the hidden state, in the mean.
 */

import { byteSize, toF32 } from "../../gpu/dtype.ts";
import { familyOf } from "../../model/family.ts";
import type { Model } from "../../model/model.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import { type Checkpoint, CheckpointError } from "../../weights/checkpoint.ts";
import { SafetensorsFile } from "../../weights/safetensors.ts";
import { type TensorSource, writeSafetensors } from "../../weights/safetensors_writer.ts";

/** A neuron whose importance is below this is inactive: it is told apart, since removing it costs nothing. */
export const INACTIVE = 1e-4;

/** Bytes of a matrix that are read at once. */
const CHUNK_BYTES = 4 * 2 ** 20;

/** Importances of a model's neurons and heads. */
export interface WidthImportance {
  /** Positions that they are means over. */
  readonly positions: number;
  /** Per layer `[ffnSize]`. */
  readonly neurons: readonly Float32Array<ArrayBuffer>[];
  /** Per layer `[heads]`. */
  readonly heads: readonly Float32Array<ArrayBuffer>[];
}

/**
 * Measures importances over all positions of some sequences.
 * @param checkpoint the model's weights as floats
 * @param progress told how many sequences are done
 */
export async function measureImportance(
  model: Pick<Model, "magnitudes" | "config">,
  checkpoint: Checkpoint,
  sequences: readonly Uint32Array[],
  { atOnce = 16, progress }: {
    /** Sequences of one forward pass. */
    readonly atOnce?: number;
    readonly progress?: (done: number) => void;
  } = {},
): Promise<WidthImportance> {
  const { config } = model;
  let positions = 0;
  const neurons = Array.from({ length: config.layers }, () => new Float64Array(config.ffnSize));
  const channels = neurons.map(() => new Float64Array(config.hiddenSize));
  for (let first = 0; first < sequences.length; first += atOnce) {
    const some = sequences.slice(first, first + atOnce);
    const { rows, gated, attended } = await model.magnitudes(some.map((ids) => ({ ids })));
    positions += rows;
    for (let layer = 0; layer < config.layers; layer++) {
      gated[layer].forEach((sum, i) => neurons[layer][i] += sum);
      attended[layer].forEach((sum, i) => channels[layer][i] += sum);
    }
    progress?.(first + some.length);
  }
  const norms = [...headColumnNorms(config, checkpoint)];
  return {
    positions,
    neurons: neurons.map((sums) => Float32Array.from(sums, (sum) => sum / positions)),
    heads: channels.map((sums, layer) => {
      const heads = new Float32Array(config.heads);
      sums.forEach((sum, channel) => {
        heads[Math.floor(channel / config.headDim)] += sum / positions * norms[layer][channel];
      });
      return heads;
    }),
  };
}

/** For each layer the norms of the columns of its attention's output projection. */
function* headColumnNorms(
  config: ModelConfig,
  checkpoint: Checkpoint,
): Generator<Float64Array, void> {
  for (const { name, shape, projectsHeads } of familyOf(config).tensors(config)) {
    if (!projectsHeads) continue;
    const slice = checkpoint.tensor(name, { shape });
    const [, columns] = shape;
    const rowBytes = columns * byteSize(slice.dtype);
    const rows = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
    const squares = new Float64Array(columns);
    for (const piece of checkpoint.chunks(slice, new Uint8Array(rows * rowBytes))) {
      const weights = toF32(piece, slice.dtype);
      for (let at = 0; at < weights.length;) {
        for (let column = 0; column < columns; column++) squares[column] += weights[at++] ** 2;
      }
    }
    yield squares.map(Math.sqrt);
  }
}

/** Neurons of a layer that are inactive. */
export function inactiveNeurons(importance: Float32Array): number {
  return importance.reduce((count, value) => count + (value < INACTIVE ? 1 : 0), 0);
}

const neuronTensor = (layer: number) => `importance.${layer}`;
const headTensor = (layer: number) => `head_importance.${layer}`;

/** Writes importances as safetensors: `importance.<layer>` and `head_importance.<layer>`. */
export async function writeImportance(file: string, found: WidthImportance): Promise<void> {
  const source = (name: string, values: Float32Array<ArrayBuffer>): TensorSource => ({
    name,
    dtype: "F32",
    shape: [values.length],
    bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  });
  const tensors = [
    ...found.neurons.map((values, layer) => source(neuronTensor(layer), values)),
    ...found.heads.map((values, layer) => source(headTensor(layer), values)),
  ];
  await writeSafetensors(file, tensors, { positions: String(found.positions) });
}

type Widths = Pick<ModelConfig, "layers" | "ffnSize" | "heads">;

/**
 * Reads the importances of neurons.
 * @throws {CheckpointError} when the file is damaged, or of a model with other layers or neurons
 */
export function readNeuronImportance(
  file: string,
  { layers, ffnSize }: Omit<Widths, "heads">,
): Float32Array<ArrayBuffer>[] {
  using open = new SafetensorsFile(file);
  return Array.from({ length: layers }, (_, i) => vector(open, neuronTensor(i), ffnSize));
}

/**
 * Reads what {@linkcode writeImportance} wrote.
 * @throws {CheckpointError} when the file is damaged, or of another model
 */
export function readImportance(file: string, { layers, ffnSize, heads }: Widths): WidthImportance {
  using open = new SafetensorsFile(file);
  const list = (nameOf: (layer: number) => string, size: number) =>
    Array.from({ length: layers }, (_, layer) => vector(open, nameOf(layer), size));
  return {
    positions: Number(open.metadata.get("positions")),
    neurons: list(neuronTensor, ffnSize),
    heads: list(headTensor, heads),
  };
}

function vector(open: SafetensorsFile, tensor: string, size: number): Float32Array<ArrayBuffer> {
  const { file } = open;
  const slice = open.tensors.get(tensor);
  if (slice?.dtype !== "F32" || String(slice.shape) !== String(size)) {
    const found = !slice ? "missing" : `${slice.dtype} [${slice.shape}]`;
    const expected = `F32 [${size}], as the model has it`;
    const remedy = "Give the importances of this model: unmask prune analyse writes them.";
    throw new CheckpointError({ file, tensor, found, expected, remedy });
  }
  const values = new Float32Array(size);
  open.readInto(slice, new Uint8Array(values.buffer));
  return values;
}
