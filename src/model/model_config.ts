/** The configuration of a model: what it computes, and how it is stored. */

import type { QuantScheme } from "../quant/scheme.ts";

/**
 * What a model computes. Each field's comment begins with its name in LLaDA's `config.json`.
 */
export interface ModelConfig {
  /** `model_type`: the family, one of family.ts. */
  readonly modelType: string;
  /** `d_model`, equal to `heads * headDim`. */
  readonly hiddenSize: number;
  /** `n_layers`. */
  readonly layers: number;
  /** `n_heads`: query heads. */
  readonly heads: number;
  /** `n_kv_heads`: query head j reads KV head `floor(j / (heads / kvHeads))`. */
  readonly kvHeads: number;
  /** Channels of one head, even, 16 to 128. */
  readonly headDim: number;
  /** `mlp_hidden_size`. */
  readonly ffnSize: number;
  /** `vocab_size`: ids that the tokenizer may know. */
  readonly vocabSize: number;
  /** `embedding_size`: rows of embedding and head, columns of the logits; at least `vocabSize`. */
  readonly embeddingSize: number;
  /** `max_sequence_length`: longest prompt plus generation, in tokens. */
  readonly maxSequenceLength: number;
  /** `rms_norm_eps`. */
  readonly normEpsilon: number;
  /** `rope_theta`. */
  readonly ropeTheta: number;
  /** `weight_tying`: the head is the embedding, and the checkpoint has no head of its own. */
  readonly tiedHead: boolean;
  /** `mask_token_id`. */
  readonly maskTokenId: number;
  /** `eos_token_id`, of a list the first. */
  readonly eosTokenId: number;
  /** The others of a list: they end an answer too. */
  readonly otherEndTokenIds?: readonly number[];
  /** `quantization_config`: how matrices are stored; undefined where they are floats. */
  readonly quantisation?: StoredQuantisation;
}

/** How a folder stores its quantised matrices. */
export interface StoredQuantisation {
  /** Scheme of the linear layers inside the blocks. */
  readonly scheme: QuantScheme;
  /** Whether the head is quantised too; embedding and norms never are. */
  readonly head: boolean;
}

/** Name of the scales of a quantised matrix. */
export function scaleName(matrix: string): string {
  return `${matrix}_scale`;
}

/** A tensor of a checkpoint with float weights. */
export interface FloatTensor {
  /** Name in the file. */
  readonly name: string;
  /** `[out, in]` for weight matrices (y = x W^T), `[hiddenSize]` for norms. */
  readonly shape: readonly number[];
  /** Whether the matrix may be quantised: with the linear layers, or as the head. */
  readonly quantisable?: "layer" | "head";
  /** Index of the layer that it belongs to; undefined outside the layers. */
  readonly layer?: number;
  /** Axis of its shape that counts neurons of the feed-forward layer: 0 rows, 1 columns. */
  readonly neuronAxis?: 0 | 1;
  /** Whether its columns are the channels of the heads' outputs. */
  readonly projectsHeads?: boolean;
}
