/**
 * A second family, as its file would stand in src/model: LLaDA's network under the names that Llama
 * checkpoints have, in config.json and among the tensors.
 */

import type { LayerWeights, ModelWeights } from "../../src/model/forward_pass.ts";
import { rotationTable } from "../../src/kernels/qkv.ts";
import { type Fields, MAX_LAYERS, MAX_SIZE } from "../../src/model/loading/config_fields.ts";
import type { WeightPrecision, WeightUpload } from "../../src/model/loading/upload.ts";
import type { FloatTensor, ModelConfig } from "../../src/model/model_config.ts";

export { forward } from "../../src/model/llada.ts";

export function readConfig(fields: Fields): Omit<ModelConfig, "modelType" | "quantisation"> {
  const hiddenSize = fields.integer("hidden_size", 1, MAX_SIZE);
  const heads = fields.divisor("num_attention_heads", "hidden_size", hiddenSize);
  const vocabSize = fields.integer("vocab_size", 1, MAX_SIZE);
  return {
    hiddenSize,
    layers: fields.integer("num_hidden_layers", 1, MAX_LAYERS),
    heads,
    kvHeads: fields.divisor("num_key_value_heads", "num_attention_heads", heads),
    headDim: hiddenSize / heads,
    ffnSize: fields.integer("intermediate_size", 1, MAX_SIZE),
    vocabSize,
    embeddingSize: vocabSize,
    maxSequenceLength: fields.integer("max_position_embeddings", 1, MAX_SIZE),
    normEpsilon: fields.positive("rms_norm_eps"),
    ropeTheta: fields.positive("rope_theta"),
    tiedHead: fields.only("tie_word_embeddings", [false]),
    maskTokenId: fields.integer("mask_token_id", 0, vocabSize - 1),
    eosTokenId: fields.integer("eos_token_id", 0, vocabSize - 1),
  };
}

export function tensors(config: ModelConfig): FloatTensor[] {
  const { hiddenSize, kvHeads, headDim, ffnSize, embeddingSize, layers } = config;
  const layer = (i: number): FloatTensor[] => {
    const named = (name: string, ...shape: number[]): FloatTensor => ({
      name: `model.layers.${i}.${name}.weight`,
      shape,
      quantisable: shape.length === 2 ? "layer" : undefined,
    });
    return [
      named("input_layernorm", hiddenSize),
      named("self_attn.q_proj", hiddenSize, hiddenSize),
      named("self_attn.k_proj", kvHeads * headDim, hiddenSize),
      named("self_attn.v_proj", kvHeads * headDim, hiddenSize),
      named("self_attn.o_proj", hiddenSize, hiddenSize),
      named("post_attention_layernorm", hiddenSize),
      named("mlp.gate_proj", ffnSize, hiddenSize),
      named("mlp.up_proj", ffnSize, hiddenSize),
      named("mlp.down_proj", hiddenSize, ffnSize),
    ];
  };
  return [
    { name: "model.embed_tokens.weight", shape: [embeddingSize, hiddenSize] },
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    { name: "model.norm.weight", shape: [hiddenSize] },
    { name: "lm_head.weight", shape: [embeddingSize, hiddenSize], quantisable: "head" },
  ];
}

export async function upload(
  to: WeightUpload,
  config: ModelConfig,
  precision: WeightPrecision = {},
): Promise<ModelWeights> {
  const { hiddenSize, heads, kvHeads, headDim, ffnSize, embeddingSize } = config;
  const { maxSequenceLength, ropeTheta } = config;
  const embedding = await to.stacked(["model.embed_tokens.weight"], [embeddingSize], hiddenSize);
  const layers: LayerWeights[] = [];
  for (let i = 0; i < config.layers; i++) {
    const of = (name: string) => `model.layers.${i}.${name}.weight`;
    const attention = ["q_proj", "k_proj", "v_proj"].map((name) => of(`self_attn.${name}`));
    const counts = [heads, kvHeads, kvHeads];
    const wanted = precision.layers;
    layers.push({
      attentionNorm: to.vector(of("input_layernorm"), hiddenSize),
      qkv: await to.heads(attention, counts, headDim, hiddenSize, wanted),
      attentionOut: await to.stacked([of("self_attn.o_proj")], [hiddenSize], hiddenSize, wanted),
      ffnNorm: to.vector(of("post_attention_layernorm"), hiddenSize),
      gateUp: await to.paired(
        [of("mlp.gate_proj"), of("mlp.up_proj")],
        ffnSize,
        hiddenSize,
        wanted,
      ),
      down: await to.stacked([of("mlp.down_proj")], [hiddenSize], ffnSize, wanted),
    });
  }
  return {
    embedding,
    layers,
    finalNorm: to.vector("model.norm.weight", hiddenSize),
    head: await to.stacked(["lm_head.weight"], [embeddingSize], hiddenSize, precision.head),
    rotation: to.table(
      "rotation",
      maxSequenceLength * headDim,
      () => rotationTable(maxSequenceLength, headDim, ropeTheta),
    ),
  };
}
