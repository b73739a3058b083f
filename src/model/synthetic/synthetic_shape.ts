/** Shapes of synthetic models, and their configurations. */

import type { FloatDType } from "../../gpu/dtype.ts";
import type { JsonObject } from "../../weights/json_file.ts";
import { quantisationJson, type StoredQuantisation } from "../loading/config.ts";

/** Sizes of a model; everything else is as in the published LLaDA-8B-Instruct. */
export interface SyntheticShape {
  /** `d_model` */
  readonly hiddenSize: number;
  /** `n_layers` */
  readonly layers: number;
  /** `n_heads`; there are as many key heads */
  readonly heads: number;
  /** `mlp_hidden_size` */
  readonly ffnSize: number;
  /** `vocab_size` and `embedding_size` */
  readonly vocabSize: number;
  /** `max_sequence_length` */
  readonly maxSequenceLength: number;
  /** `mask_token_id`; default the last id. */
  readonly maskTokenId?: number;
  /** `eos_token_id` and `pad_token_id`; default the last id but one. */
  readonly eosTokenId?: number;
  /** `rope_theta`; default 500000. */
  readonly ropeTheta?: number;
}

const LLADA_8B: SyntheticShape = {
  hiddenSize: 4096,
  layers: 32,
  heads: 32,
  ffnSize: 12288,
  vocabSize: 126464,
  maxSequenceLength: 4096,
  maskTokenId: 126336,
  eosTokenId: 126081,
};

const TINY_TARGET: SyntheticShape = {
  hiddenSize: 128,
  layers: 8,
  heads: 4,
  ffnSize: 512,
  vocabSize: 2048,
  maxSequenceLength: 512,
  maskTokenId: 2037,
  eosTokenId: 2033,
  ropeTheta: 10000,
};

/**
 * Shapes by name. `llada-8b` is LLaDA-8B-Instruct (8.02 billion parameters), `llada-24l` a draft of
 * it with 24 layers and a narrower FFN (5.36 billion), and `tiny-…` are the embedded models. `mid`
 * (176 million) is bound by arithmetic like the large ones, but small enough for a software
 * adapter.
 */
export const SYNTHETIC_SHAPES = {
  "llada-8b": LLADA_8B,
  "llada-24l": { ...LLADA_8B, layers: 24, ffnSize: 9216 },
  mid: {
    hiddenSize: 1024,
    layers: 8,
    heads: 8,
    ffnSize: 3072,
    vocabSize: 32768,
    maxSequenceLength: 1024,
  },
  "tiny-target": TINY_TARGET,
  "tiny-draft": { ...TINY_TARGET, layers: 3, ffnSize: 112 },
} as const satisfies Readonly<Record<string, SyntheticShape>>;

/** Name of a shape. */
export type SyntheticShapeName = keyof typeof SYNTHETIC_SHAPES;

const TORCH_DTYPES: Readonly<Record<FloatDType, string>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
};

/** Makes the `config.json` of a shape, with every field that a forward pass needs. */
export function syntheticConfig(
  shape: SyntheticShape,
  options: { readonly dtype?: FloatDType; readonly quantisation?: StoredQuantisation } = {},
): JsonObject {
  const { dtype = "BF16", quantisation } = options;
  return {
    activation_type: "silu",
    alibi: false,
    architectures: ["LLaDAModelLM"],
    attention_dropout: 0,
    attention_layer_norm: false,
    block_group_size: 1,
    block_type: "llama",
    d_model: shape.hiddenSize,
    embedding_dropout: 0,
    embedding_size: shape.vocabSize,
    eos_token_id: shape.eosTokenId ?? shape.vocabSize - 2,
    include_bias: false,
    include_qkv_bias: false,
    input_emb_norm: false,
    layer_norm_type: "rms",
    layer_norm_with_affine: true,
    mask_token_id: shape.maskTokenId ?? shape.vocabSize - 1,
    max_sequence_length: shape.maxSequenceLength,
    mlp_hidden_size: shape.ffnSize,
    mlp_ratio: 4,
    model_type: "llada",
    multi_query_attention: null,
    n_heads: shape.heads,
    n_kv_heads: shape.heads,
    n_layers: shape.layers,
    pad_token_id: shape.eosTokenId ?? shape.vocabSize - 2,
    residual_dropout: 0,
    rms_norm_eps: 1e-5,
    rope: true,
    rope_full_precision: true,
    rope_theta: shape.ropeTheta ?? 500000,
    scale_logits: false,
    torch_dtype: TORCH_DTYPES[dtype],
    use_cache: false,
    vocab_size: shape.vocabSize,
    weight_tying: false,
    ...(quantisation ? { quantization_config: quantisationJson(quantisation) } : {}),
  };
}
