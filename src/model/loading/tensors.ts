/** The tensors of a LLaDA checkpoint: which there must be, and of what shape. */
import { type DType, FLOAT_DTYPES } from "../../gpu/dtype.ts";
import { groupsOf, storedRowBytes } from "../../quant/scheme.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import { CheckpointError } from "../../weights/checkpoint.ts";
import type { ModelConfig } from "./config.ts";

/** A tensor that the checkpoint must hold. */
export interface ExpectedTensor {
  /** Name in the file. */
  readonly name: string;
  /** `[out, in]` for weight matrices (y = x W^T), `[hiddenSize]` for norms. */
  readonly shape: readonly number[];
  /** The types that it may be stored as. */
  readonly dtypes: readonly DType[];
}

/** Name of the scales beside a quantised matrix. */
export function scaleName(matrix: string): string {
  return `${matrix}_scale`;
}

/** Whether a matrix is among those that are quantised: linear layers, and the head if asked for. */
export function isQuantisable(name: string, shape: readonly number[], head: boolean): boolean {
  if (shape.length !== 2) return false;
  return name.includes(".blocks.") || (head && name === HEAD);
}

const HEAD = "model.transformer.ff_out.weight";

/**
 * Every tensor of a checkpoint with this configuration: embedding, layers in order, final norm, and
 * the head where it is not tied to the embedding.
 * Source: `model.safetensors.index.json` of GSAI-ML/LLaDA-8B-Instruct (291 tensors).
 */
export function expectedTensors(config: ModelConfig): ExpectedTensor[] {
  const { hiddenSize, kvHeads, headDim, ffnSize, embeddingSize, layers, tiedHead } = config;
  const layer: readonly (readonly [name: string, shape: readonly number[]])[] = [
    ["attn_norm", [hiddenSize]],
    ["q_proj", [hiddenSize, hiddenSize]],
    ["k_proj", [kvHeads * headDim, hiddenSize]],
    ["v_proj", [kvHeads * headDim, hiddenSize]],
    ["attn_out", [hiddenSize, hiddenSize]],
    ["ff_norm", [hiddenSize]],
    ["ff_proj", [ffnSize, hiddenSize]],
    ["up_proj", [ffnSize, hiddenSize]],
    ["ff_out", [hiddenSize, ffnSize]],
  ];
  const named = (name: string, shape: readonly number[]): ExpectedTensor => ({
    name: `model.transformer.${name}.weight`,
    shape,
    dtypes: FLOAT_DTYPES,
  });
  const tensors = [named("wte", [embeddingSize, hiddenSize])];
  for (let i = 0; i < layers; i++) {
    for (const [name, shape] of layer) tensors.push(named(`blocks.${i}.${name}`, shape));
  }
  tensors.push(named("ln_f", [hiddenSize]));
  if (!tiedHead) tensors.push(named("ff_out", [embeddingSize, hiddenSize]));
  return config.quantisation ? tensors.flatMap((tensor) => stored(tensor, config)) : tensors;
}

/** Codes and scales in the place of a quantised matrix. */
function stored(tensor: ExpectedTensor, { quantisation }: ModelConfig): ExpectedTensor[] {
  const { scheme, head } = quantisation!;
  const { name, shape: [out, inner] } = tensor;
  if (!isQuantisable(name, tensor.shape, head)) return [tensor];
  return [
    { name, shape: [out, storedRowBytes(scheme, inner)], dtypes: [scheme.dtype] },
    { name: scaleName(name), shape: [out, groupsOf(scheme, inner)], dtypes: ["F16"] },
  ];
}

/**
 * Checks that a checkpoint holds exactly the tensors of its configuration, in the types that it says.
 * @throws {CheckpointError} naming the first tensor that is missing, of a wrong shape or type, or
 * not part of the model: a bias, or a head beside a tied embedding, would change what it computes
 */
export function checkTensors(config: ModelConfig, checkpoint: Checkpoint): void {
  const expected = expectedTensors(config);
  for (const { name, shape, dtypes } of expected) checkpoint.tensor(name, { shape, dtypes });
  const names = new Set(expected.map(({ name }) => name));
  for (const { name, file } of checkpoint.tensors.values()) {
    if (names.has(name)) continue;
    throw new CheckpointError({
      file,
      tensor: name,
      found: "present",
      expected: `absent: not one of the ${names.size} tensors that config.json describes`,
      remedy: "Weights and config.json are not of the same model: download the folder again.",
    });
  }
}
