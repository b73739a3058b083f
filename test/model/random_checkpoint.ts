/** Small model folders with random weights, of any shape that a configuration may have. */

import { join } from "node:path";
import { type FloatDType, fromF32 } from "../../src/gpu/dtype.ts";
import { parseConfig } from "../../src/model/loading/config.ts";
import { expectedTensors } from "../../src/model/loading/tensors.ts";
import { writeSafetensors } from "../../src/weights/safetensors_writer.ts";
import { Random } from "../kernels/random.ts";

/** What a model is like. */
export interface CheckpointShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly layers: number;
  readonly ffnSize: number;
  readonly vocabSize: number;
  /** Rows of the embedding beyond the vocabulary. */
  readonly extraRows?: number;
  readonly tied?: boolean;
  /** Of the matrices, dealt out in turn; norms have the first. */
  readonly dtypes?: readonly FloatDType[];
  readonly normEpsilon?: number;
  readonly ropeTheta?: number;
  readonly maxSequenceLength?: number;
  /** What a matrix is multiplied by, by its name; default 1. */
  readonly scaleOf?: (name: string) => number;
}

/** The published configuration with these sizes. */
export function configOf(shape: CheckpointShape): Record<string, unknown> {
  const { heads, kvHeads, headDim, layers, ffnSize, vocabSize, extraRows = 0 } = shape;
  return {
    model_type: "llada",
    block_type: "llama",
    block_group_size: 1,
    activation_type: "silu",
    layer_norm_type: "rms",
    layer_norm_with_affine: true,
    attention_layer_norm: false,
    rope: true,
    rope_full_precision: true,
    alibi: false,
    include_bias: false,
    include_qkv_bias: false,
    input_emb_norm: false,
    scale_logits: false,
    multi_query_attention: null,
    d_model: heads * headDim,
    n_heads: heads,
    n_kv_heads: kvHeads,
    n_layers: layers,
    mlp_hidden_size: ffnSize,
    vocab_size: vocabSize,
    embedding_size: vocabSize + extraRows,
    max_sequence_length: shape.maxSequenceLength ?? 64,
    rms_norm_eps: shape.normEpsilon ?? 1e-5,
    rope_theta: shape.ropeTheta ?? 10000,
    weight_tying: shape.tied ?? false,
    mask_token_id: vocabSize - 1,
    eos_token_id: vocabSize - 2,
    pad_token_id: vocabSize - 2,
  };
}

/** Writes config.json and model.safetensors into `dir`, which exists; the seed fixes every weight. */
export async function writeCheckpoint(
  dir: string,
  shape: CheckpointShape,
  seed: number | string,
): Promise<void> {
  const json = configOf(shape);
  const file = join(dir, "config.json");
  const { dtypes = ["F32"], scaleOf = () => 1 } = shape;
  Deno.writeTextFileSync(file, JSON.stringify(json));
  const tensors = expectedTensors(parseConfig(json, file)).map(({ name, shape }, i) => {
    const random = new Random(`${seed} ${name}`);
    const dtype = dtypes[shape.length === 1 ? 0 : i % dtypes.length];
    const elements = shape.reduce((product, size) => product * size, 1);
    const values = shape.length === 1
      ? Float32Array.from({ length: elements }, () => 0.5 + 1.5 * random.next())
      : random.floats(elements, scaleOf(name) * 1.5 / Math.sqrt(shape[1]));
    return { name, dtype, shape, bytes: () => fromF32(values, dtype) };
  });
  await writeSafetensors(join(dir, "model.safetensors"), tensors);
}

/** Runs `body` with an empty folder that is gone afterwards. */
export async function withFolder(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "unmask-model-" });
  try {
    await body(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}
