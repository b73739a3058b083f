/** A LLaDA-shaped folder of seeded random weights, for timing models that cannot be shipped. */

import { join } from "node:path";
import { f32ToBf16 } from "../gpu/dtype.ts";
import { parseConfig } from "../model/config.ts";
import { expectedTensors } from "../model/tensors.ts";
import { writeSafetensors } from "../weights/safetensors_writer.ts";

/** Sizes of a synthetic model. */
export interface SyntheticShape {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly ffnSize: number;
  readonly vocabSize: number;
  readonly maxSequenceLength: number;
}

/** Values that are drawn; tensors repeat them from different places on. */
const POOL = 1 << 20;

/** bf16 values, uniform with the standard deviation that keeps activations near 1. */
function randomPool(seed: number, deviation: number): Uint16Array<ArrayBuffer> {
  const values = new Float32Array(POOL);
  let state = seed >>> 0;
  for (let i = 0; i < POOL; i++) {
    // Numerical Recipes' linear congruential generator; nothing here needs better.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state / 2 ** 32 - 0.5) * Math.sqrt(12) * deviation;
  }
  return f32ToBf16(values);
}

function fill(elements: number, pool: Uint16Array, first: number): Uint8Array<ArrayBuffer> {
  const result = new Uint16Array(elements);
  for (let i = 0; i < elements;) {
    const from = (first + i) % POOL;
    const length = Math.min(POOL - from, elements - i);
    result.set(pool.subarray(from, from + length), i);
    i += length;
  }
  return new Uint8Array(result.buffer);
}

/** Writes config.json and model.safetensors (bf16) into an existing folder. */
export async function writeSyntheticCheckpoint(
  dir: string,
  shape: SyntheticShape,
  seed = 1,
): Promise<void> {
  const file = join(dir, "config.json");
  const json = {
    activation_type: "silu",
    alibi: false,
    architectures: ["LLaDAModelLM"],
    attention_layer_norm: false,
    block_group_size: 1,
    block_type: "llama",
    d_model: shape.hiddenSize,
    embedding_size: shape.vocabSize,
    eos_token_id: shape.vocabSize - 2,
    attention_dropout: 0,
    embedding_dropout: 0,
    residual_dropout: 0,
    include_bias: false,
    include_qkv_bias: false,
    input_emb_norm: false,
    layer_norm_type: "rms",
    layer_norm_with_affine: true,
    mask_token_id: shape.vocabSize - 1,
    max_sequence_length: shape.maxSequenceLength,
    mlp_hidden_size: shape.ffnSize,
    mlp_ratio: 4,
    model_type: "llada",
    multi_query_attention: null,
    n_heads: shape.heads,
    n_kv_heads: shape.heads,
    n_layers: shape.layers,
    pad_token_id: shape.vocabSize - 2,
    rms_norm_eps: 1e-5,
    rope: true,
    rope_full_precision: true,
    rope_theta: 500000,
    scale_logits: false,
    vocab_size: shape.vocabSize,
    weight_tying: false,
  };
  const config = parseConfig(json, file);
  await Deno.writeTextFile(file, JSON.stringify(json, null, 1));
  const pool = randomPool(seed, 1 / Math.sqrt(shape.hiddenSize));
  const ones = fill(shape.hiddenSize, f32ToBf16(new Float32Array(POOL).fill(1)), 0);
  await writeSafetensors(
    join(dir, "model.safetensors"),
    expectedTensors(config).map(({ name, shape: dimensions }, i) => ({
      name,
      dtype: "BF16",
      shape: dimensions,
      bytes: () =>
        dimensions.length === 1
          ? ones
          : fill(dimensions.reduce((a, b) => a * b, 1), pool, i * 7919),
    })),
  );
}
