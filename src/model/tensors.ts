/** The tensors of a LLaDA checkpoint: which there must be, and of what shape. */
import type { Checkpoint } from "../weights/checkpoint.ts";
import { CheckpointError } from "../weights/checkpoint.ts";
import type { ModelConfig } from "./config.ts";

/** A tensor that the checkpoint must hold. */
export interface ExpectedTensor {
  /** Name in the file. */
  readonly name: string;
  /** `[out, in]` for weight matrices (y = x W^T), `[hiddenSize]` for norms. */
  readonly shape: readonly number[];
}

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
  });
  const tensors = [named("wte", [embeddingSize, hiddenSize])];
  for (let i = 0; i < layers; i++) {
    for (const [name, shape] of layer) tensors.push(named(`blocks.${i}.${name}`, shape));
  }
  tensors.push(named("ln_f", [hiddenSize]));
  if (!tiedHead) tensors.push(named("ff_out", [embeddingSize, hiddenSize]));
  return tensors;
}

/**
 * Checks that a checkpoint holds exactly the tensors of its configuration, in float types.
 * @throws {CheckpointError} naming the first tensor that is missing, of a wrong shape or type, or
 * not part of the model: a bias, or a head beside a tied embedding, would change what it computes
 */
export function checkTensors(config: ModelConfig, checkpoint: Checkpoint): void {
  const expected = expectedTensors(config);
  for (const { name, shape } of expected) checkpoint.tensor(name, { shape });
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
