/**
 * The LLaDA family (Nie et al. 2025, arXiv 2502.09992): the fields of config.json, the names of
 * tensors in a checkpoint, the upload, and the forward pass.
 *
 * Sources: `config.json`, `configuration_llada.py` and `model.safetensors.index.json` (291 tensors) of
 * GSAI-ML/LLaDA-8B-Instruct.
 */

import type { Tensor } from "../gpu/tensor.ts";
import { attention } from "../kernels/attention.ts";
import { embed } from "../kernels/embed.ts";
import { rmsNorm } from "../kernels/rms_norm.ts";
import { rotationTable } from "../kernels/qkv.ts";
import { normsInStrips, stripAddNorm } from "../kernels/strip_add_norm.ts";
import type { WeightMatrix } from "../kernels/weight_matrix.ts";
import { paddedInner } from "../quant/scheme.ts";
import {
  type ForwardPass,
  headShape,
  type LayerWeights,
  type ModelWeights,
  type PassObserver,
  type RowBatch,
  rowsPerChunk,
} from "./forward_pass.ts";
import { gatedLinear, linear, projectQkv } from "./linear.ts";
import { type Fields, MAX_LAYERS, MAX_SIZE } from "./loading/config_fields.ts";
import type { WeightPrecision, WeightUpload } from "./loading/upload.ts";
import type { FloatTensor, ModelConfig } from "./model_config.ts";

/**
 * Reads config.json. Every field that changes the result must be there. A missing one is an error,
 * because the defaults of the published configuration class (`weight_tying` true, `rope` false,
 * `embedding_size` 50304) differ from the published file.
 * @throws {ConfigError} naming the field that is missing, wrong or not supported
 */
export function readConfig(fields: Fields): Omit<ModelConfig, "modelType" | "quantisation"> {
  checkArchitecture(fields);

  const hiddenSize = fields.integer("d_model", 1, MAX_SIZE);
  const heads = fields.divisor("n_heads", "d_model", hiddenSize);
  const headDim = hiddenSize / heads;
  if (headDim % 2 !== 0 || headDim < 16 || headDim > 128) {
    const found = `${heads}, which makes heads of ${headDim} channels`;
    throw fields.wrong("n_heads", found, "heads of an even number of channels from 16 to 128");
  }
  const embeddingSize = fields.integer("embedding_size", 1, MAX_SIZE);
  const rows = `embedding_size is ${embeddingSize}`;
  const maskTokenId = fields.integer("mask_token_id", 0, embeddingSize - 1, rows);
  const [eosTokenId, ...others] = fields.tokenIds("eos_token_id", embeddingSize, maskTokenId);
  return {
    hiddenSize,
    layers: fields.integer("n_layers", 1, MAX_LAYERS),
    heads,
    kvHeads: readKvHeads(fields, heads),
    headDim,
    ffnSize: readFfnSize(fields, hiddenSize),
    vocabSize: fields.integer("vocab_size", 1, embeddingSize, rows),
    embeddingSize,
    maxSequenceLength: fields.integer("max_sequence_length", 1, MAX_SIZE),
    normEpsilon: fields.positive("rms_norm_eps"),
    ropeTheta: fields.positive("rope_theta"),
    tiedHead: fields.only("weight_tying", [true, false]),
    maskTokenId,
    eosTokenId,
    ...others.length > 0 && { otherEndTokenIds: others },
  };
}

/** Checks fields with one supported value: they describe what the forward pass does or lacks. */
function checkArchitecture(fields: Fields): void {
  fields.only("block_type", ["llama"]);
  fields.only("block_group_size", [1]);
  fields.only("activation_type", ["silu"]);
  fields.only("layer_norm_type", ["rms"]);
  fields.only("layer_norm_with_affine", [true]);
  fields.only("attention_layer_norm", [false]);
  fields.only("rope", [true]);
  fields.only("rope_full_precision", [true]);
  fields.only("alibi", [false]);
  fields.only("include_bias", [false]);
  fields.only("include_qkv_bias", [false]);
  fields.only("input_emb_norm", [false]);
  fields.only("scale_logits", [false]);
  // Absent or null takes the value of include_bias, which is false.
  fields.onlyIfPresent("bias_for_layer_norm", [false]);
  // The published configuration does not have these fields; if set, they would change the result.
  for (const field of ["rope_scaling", "clip_qkv", "sliding_window"]) {
    fields.onlyIfPresent(field, []);
  }
}

/** `n_kv_heads`; null means as many as query heads. */
function readKvHeads(fields: Fields, heads: number): number {
  const multiQuery = fields.only("multi_query_attention", [null, false]);
  const kvHeads = fields.value("n_kv_heads") === null
    ? heads
    : fields.divisor("n_kv_heads", "n_heads", heads);
  // The published configuration class also refuses a false that contradicts n_kv_heads.
  if (multiQuery === false && kvHeads !== heads) {
    const expected = `null, or n_kv_heads equal to n_heads (${heads})`;
    throw fields.wrong("multi_query_attention", `false with n_kv_heads ${kvHeads}`, expected);
  }
  return kvHeads;
}

/** `mlp_hidden_size`; null means `mlp_ratio * d_model`. */
function readFfnSize(fields: Fields, hiddenSize: number): number {
  if (fields.value("mlp_hidden_size") !== null) {
    return fields.integer("mlp_hidden_size", 1, MAX_SIZE);
  }
  return fields.integer("mlp_ratio", 1, Math.floor(MAX_SIZE / hiddenSize)) * hiddenSize;
}

/** Name in the checkpoint of a tensor of this project. */
const inFile = (tensor: string) => `model.transformer.${tensor}.weight`;

/** Every tensor of a checkpoint of floats: embedding, layers in order, final norm, and an untied head. */
export function tensors(config: ModelConfig): FloatTensor[] {
  const { hiddenSize, kvHeads, headDim, ffnSize, embeddingSize, layers, tiedHead } = config;
  const layer: readonly (readonly [name: string, shape: readonly number[], neuronAxis?: 0 | 1])[] =
    [
      ["attn_norm", [hiddenSize]],
      ["q_proj", [hiddenSize, hiddenSize]],
      ["k_proj", [kvHeads * headDim, hiddenSize]],
      ["v_proj", [kvHeads * headDim, hiddenSize]],
      ["attn_out", [hiddenSize, hiddenSize]],
      ["ff_norm", [hiddenSize]],
      ["ff_proj", [ffnSize, hiddenSize], 0],
      ["up_proj", [ffnSize, hiddenSize], 0],
      ["ff_out", [hiddenSize, ffnSize], 1],
    ];
  const found: FloatTensor[] = [{ name: inFile("wte"), shape: [embeddingSize, hiddenSize] }];
  for (let i = 0; i < layers; i++) {
    for (const [name, shape, neuronAxis] of layer) {
      const quantisable = shape.length === 2 ? "layer" as const : undefined;
      const places = { layer: i, neuronAxis, projectsHeads: name === "attn_out" };
      found.push({ name: inFile(`blocks.${i}.${name}`), shape, quantisable, ...places });
    }
  }
  found.push({ name: inFile("ln_f"), shape: [hiddenSize] });
  if (tiedHead) return found;
  const shape = [embeddingSize, hiddenSize];
  return [...found, { name: inFile("ff_out"), shape, quantisable: "head" }];
}

/** A head that is tied to the embedding, where a checkpoint stores it nevertheless. */
export function tiedHead(
  config: ModelConfig,
): { readonly head: string; readonly embedding: string } | undefined {
  return config.tiedHead ? { head: inFile("ff_out"), embedding: inFile("wte") } : undefined;
}

/**
 * Uploads a checkpoint.
 * @param precision schemes on the GPU; the embedding stays as it is stored
 * @throws {CheckpointError} when a tensor does not match the configuration
 */
export async function upload(
  to: WeightUpload,
  config: ModelConfig,
  precision: WeightPrecision = {},
): Promise<ModelWeights> {
  const wanted = precision.layers;
  const { hiddenSize, heads, kvHeads, headDim, ffnSize, embeddingSize } = config;
  to.checkTable(
    `the rotation of max_sequence_length ${config.maxSequenceLength} positions`,
    config.maxSequenceLength * headDim,
  );
  const embedding = await to.stacked([inFile("wte")], [embeddingSize], hiddenSize);
  const layers: LayerWeights[] = [];
  for (let i = 0; i < config.layers; i++) {
    const of = (tensor: string) => inFile(`blocks.${i}.${tensor}`);
    layers.push({
      attentionNorm: to.vector(of("attn_norm"), hiddenSize),
      qkv: await to.heads(
        [of("q_proj"), of("k_proj"), of("v_proj")],
        [heads, kvHeads, kvHeads],
        headDim,
        hiddenSize,
        wanted,
      ),
      attentionOut: await to.stacked([of("attn_out")], [hiddenSize], hiddenSize, wanted),
      ffnNorm: to.vector(of("ff_norm"), hiddenSize),
      gateUp: await to.paired([of("ff_proj"), of("up_proj")], ffnSize, hiddenSize, wanted),
      down: await to.stacked([of("ff_out")], [hiddenSize], ffnSize, wanted),
    });
  }
  return {
    embedding,
    layers,
    finalNorm: to.vector(inFile("ln_f"), hiddenSize),
    head: config.tiedHead
      ? embedding
      : await to.stacked([inFile("ff_out")], [embeddingSize], hiddenSize, precision.head),
    rotation: to.table(
      "rotation",
      config.maxSequenceLength * headDim,
      () => rotationTable(config.maxSequenceLength, headDim, config.ropeTheta),
    ),
  };
}

/**
 * Records the embedding and all layers.
 * @returns hidden states before the final norm, `[rows, paddedInner(hiddenSize)]`
 */
export function forward(pass: ForwardPass, batch: RowBatch, observe?: PassObserver): Tensor {
  const { gpu, recorder, scratch, config, weights } = pass;
  const { rows } = batch;
  const shape = headShape(config);
  const width = paddedInner(config.hiddenSize);
  const ffnWidth = paddedInner(config.ffnSize);
  const most = rowsPerChunk(gpu, Math.max(ffnWidth, width));
  const chunk = Math.min(rows, most);

  const x = scratch.get("hidden", rows * width);
  const normed = scratch.get("normed", chunk * width);
  const q = scratch.get("q", rows * shape.heads * shape.headStride);
  const keyElements = rows * shape.kvHeads * shape.headStride;
  const attended = scratch.get("attended", rows * width);
  const gated = scratch.get("gated", chunk * ffnWidth);

  const chunks: { first: number; rows: number; x: Tensor; attended: Tensor }[] = [];
  for (let first = 0; first < rows; first += chunk) {
    const part = (tensor: Tensor) => tensor.window(first * width, most * width);
    const length = Math.min(chunk, rows - first);
    chunks.push({ first, rows: length, x: part(x), attended: part(attended) });
  }
  const norm = (from: Tensor, weight: Tensor, length: number, firstRow = 0) =>
    rmsNorm(recorder, from, weight, normed, {
      rows: length,
      xRows: firstRow + length,
      firstRow,
      columns: config.hiddenSize,
      stride: width,
      epsilon: config.normEpsilon,
    });

  // Where layers norm what they add to, in one piece, what follows finds it normed, group by group.
  const norms = chunks.length === 1 &&
    weights.layers.every(({ attentionOut, down }) =>
      normsInStrips(gpu, attentionOut) && normsInStrips(gpu, down)
    ) &&
    batch.groups.every(({ first }) =>
      4 * first * width % gpu.limits.minStorageBufferOffsetAlignment === 0
    );
  const addAndNorm = (from: Tensor, layer: WeightMatrix, part: typeof chunks[0], gain: Tensor) =>
    stripAddNorm(recorder, { x: from, gain, y: part.x, normed }, layer, {
      rows: part.rows,
      stride: width,
      epsilon: config.normEpsilon,
    });

  const { lists } = batch;
  embed(recorder, batch.ids, weights.embedding, x, rows, {
    firstRow: batch.rowIndex,
    rowIndex: batch.rowIndex === undefined ? undefined : lists,
  });
  observe?.hidden?.("embed", x);
  for (const [i, layer] of weights.layers.entries()) {
    for (const group of batch.groups) {
      const element = group.kept?.element;
      const { k, v } = group.kept?.layers[i] ??
        { k: scratch.get("k", keyElements), v: scratch.get("v", keyElements) };
      for (const part of chunks) {
        // Rows of the chunk that are the group's.
        const first = Math.max(part.first, group.first);
        const length = Math.min(part.first + part.rows, group.first + group.rows) - first;
        if (length <= 0) continue;
        const apart = norms && i > 0;
        if (!apart) norm(part.x, layer.attentionNorm, length, first - part.first);
        const x = apart ? normed.window(first * width, most * width) : normed;
        const before = first - group.first;
        projectQkv(
          pass,
          { x, rowPosition: lists, rotation: weights.rotation, q, k, v, element },
          layer.qkv,
          shape,
          {
            rows: length,
            firstQuery: first,
            firstKey: group.positions + before,
            keyRows: group.writeRows === undefined ? undefined : group.writeRows + before,
          },
        );
      }
      const { keyRows } = group;
      attention(
        recorder,
        { q, k, v, element, sequences: group.ranges, keyRows, y: attended },
        shape,
        { work: group.work, yStride: width, scratch },
      );
      if (group.shadows) {
        // A separate call, so that the other rows keep their pipeline and their bits.
        const { ranges: sequences, keys, work } = group.shadows;
        const shadowed = { q, k, v, element, sequences, shadows: keys, keyRows, y: attended };
        attention(recorder, shadowed, shape, { work, yStride: width, scratch });
      }
    }
    observe?.attended?.(i, attended);
    for (const part of chunks) {
      const add = { rows: part.rows, yStride: width, add: true };
      if (norms) {
        addAndNorm(part.attended, layer.attentionOut, part, layer.ffnNorm);
      } else {
        linear(pass, part.attended, layer.attentionOut, part.x, add);
        norm(part.x, layer.ffnNorm, part.rows);
      }
      gatedLinear(pass, normed, layer.gateUp, gated, { rows: part.rows, yStride: ffnWidth });
      observe?.gated?.(i, gated, part.rows);
      const next = weights.layers[i + 1];
      if (norms && next) addAndNorm(gated, layer.down, part, next.attentionNorm);
      else linear(pass, gated, layer.down, part.x, add);
    }
    observe?.hidden?.(`block.${i}.out`, x);
  }
  return x;
}
