/**
 * Writes a LLaDA model as a file for llama.cpp, which supports LLaDA: the same weights, reordered.
 */

import { join } from "node:path";
import { toF32 } from "../../gpu/dtype.ts";
import type { ModelConfig } from "../../model/loading/config.ts";
import { scaleName } from "../../model/model_config.ts";
import { groupsOf, type QuantisedName, storedRowBytes } from "../../quant/scheme.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import {
  GGML_TYPES,
  GGUF_ALIGNMENT,
  ggufHeader,
  type GgufTensor,
  type GgufValue,
} from "./gguf_file.ts";

/** Name of the model file, with header and weights. */
export const GGUF_MODEL = "llada.gguf";
/** Number of weights in a block of llama.cpp's formats. */
const GROUP = 32;

/** A tensor to write, before its place is known. */
interface Source {
  readonly name: string;
  /** Name in the checkpoint. */
  readonly of: string;
  /** `[columns, inner]`, or `[inner]`. */
  readonly shape: readonly number[];
  /** Number of heads, if llama.cpp rotates their channels in another order. */
  readonly rotatedHeads?: number;
}

/**
 * Writes a model into a folder as {@linkcode GGUF_MODEL}: floats as f32, codes and scales as they are.
 * @throws {RangeError} when codes have groups that llama.cpp's formats lack
 */
export function writeGguf(dir: string, config: ModelConfig, checkpoint: Checkpoint): void {
  const sources = sourcesOf(config);
  const tensors: GgufTensor[] = [];
  let offset = 0;
  for (const { name, of, shape } of sources) {
    const type = typeOf(config, checkpoint, of, shape);
    tensors.push({ name, dims: shape.toReversed(), type, offset });
    offset += aligned(byteLength(type, shape));
  }
  using file = Deno.openSync(join(dir, GGUF_MODEL), { write: true, create: true, truncate: true });
  writeAll(file, ggufHeader(metadataOf(config), tensors));
  for (const [i, source] of sources.entries()) {
    const rows = tensors[i].type === GGML_TYPES.F32
      ? floats(checkpoint, source)
      : blocks(config, checkpoint, source);
    const bytes = new Uint8Array(aligned(rows.length));
    bytes.set(inRotationOrder(rows, source));
    writeAll(file, bytes);
  }
}

function sourcesOf(config: ModelConfig): Source[] {
  const { hiddenSize, layers, heads, kvHeads, headDim, ffnSize, embeddingSize } = config;
  const name = (tensor: string) => `model.transformer.${tensor}.weight`;
  const sources: Source[] = [
    { name: "token_embd.weight", of: name("wte"), shape: [embeddingSize, hiddenSize] },
    { name: "output_norm.weight", of: name("ln_f"), shape: [hiddenSize] },
  ];
  if (!config.tiedHead) {
    sources.push({ name: "output.weight", of: name("ff_out"), shape: [embeddingSize, hiddenSize] });
  }
  for (let i = 0; i < layers; i++) {
    const add = (tensor: string, of: string, shape: readonly number[], rotatedHeads?: number) =>
      sources.push({
        name: `blk.${i}.${tensor}.weight`,
        of: name(`blocks.${i}.${of}`),
        shape,
        rotatedHeads,
      });
    add("attn_norm", "attn_norm", [hiddenSize]);
    add("attn_q", "q_proj", [heads * headDim, hiddenSize], heads);
    add("attn_k", "k_proj", [kvHeads * headDim, hiddenSize], kvHeads);
    add("attn_v", "v_proj", [kvHeads * headDim, hiddenSize]);
    add("attn_output", "attn_out", [hiddenSize, heads * headDim]);
    add("ffn_norm", "ff_norm", [hiddenSize]);
    add("ffn_gate", "ff_proj", [ffnSize, hiddenSize]);
    add("ffn_up", "up_proj", [ffnSize, hiddenSize]);
    add("ffn_down", "ff_out", [hiddenSize, ffnSize]);
  }
  return sources;
}

function metadataOf(config: ModelConfig): Record<string, GgufValue> {
  const u32 = (value: number) => ({ u32: value });
  return {
    "general.architecture": "llada",
    "llada.context_length": u32(config.maxSequenceLength),
    "llada.embedding_length": u32(config.hiddenSize),
    "llada.block_count": u32(config.layers),
    "llada.feed_forward_length": u32(config.ffnSize),
    "llada.attention.head_count": u32(config.heads),
    "llada.attention.head_count_kv": u32(config.kvHeads),
    "llada.attention.layer_norm_rms_epsilon": { f32: config.normEpsilon },
    "llada.rope.freq_base": { f32: config.ropeTheta },
    "llada.rope.dimension_count": u32(config.headDim),
    "llada.vocab_size": u32(config.embeddingSize),
    ...vocabularyOf(config.embeddingSize),
  };
}

/** Token types of llama.cpp. */
const NORMAL = 1;
const BYTE = 6;
/** Number of byte tokens, which stand for text without another token. */
const BYTES = 256;

/**
 * Makes texts for token ids: they are not used, but node-llama-cpp refuses a model without them.
 */
function vocabularyOf(ids: number): Record<string, GgufValue> {
  if (ids < BYTES) throw new RangeError(`${ids} token ids, expected ${BYTES} at least`);
  const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, "0");
  return {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": Array.from(
      { length: ids },
      (_, id) => id < BYTES ? `<0x${hex(id)}>` : `token ${id}`,
    ),
    "tokenizer.ggml.scores": new Float32Array(ids),
    "tokenizer.ggml.token_type": Int32Array.from(
      { length: ids },
      (_, id) => id < BYTES ? BYTE : NORMAL,
    ),
    // The default ids of these tokens may be outside the vocabulary.
    "tokenizer.ggml.bos_token_id": { u32: ids - 1 },
    "tokenizer.ggml.eos_token_id": { u32: ids - 1 },
    "tokenizer.ggml.unknown_token_id": { u32: ids - 1 },
  };
}

function typeOf(
  { quantisation }: ModelConfig,
  { tensors }: Checkpoint,
  name: string,
  shape: readonly number[],
): number {
  if (!tensors.has(scaleName(name))) return GGML_TYPES.F32;
  const { name: scheme, group } = quantisation!.scheme;
  const inner = shape[1];
  if (group !== GROUP || inner % GROUP !== 0) {
    throw new RangeError(
      `${name} has ${inner} columns in groups of ${group}, expected whole groups of ${GROUP}`,
    );
  }
  return FORMATS[scheme as QuantisedName].type;
}

/** How llama.cpp has a scheme's codes: the type, and the bytes of a group from ours. */
const FORMATS: Readonly<
  Record<QuantisedName, {
    readonly type: number;
    readonly pack: (codes: Uint8Array) => Uint8Array;
  }>
> = {
  q8: { type: GGML_TYPES.Q8_0, pack: (codes) => codes },
  // A byte holds codes i and i + 16, counted from -8.
  q4: {
    type: GGML_TYPES.Q4_0,
    pack: (codes) => {
      const code = (k: number) => (codes[k >> 1] >> (4 * (k & 1)) & 15) ^ 8;
      return codes.map((_, i) => code(i) | code(i + codes.length) << 4);
    },
  },
};

/** Bytes of 32 weights. */
const BLOCK_BYTES = {
  [GGML_TYPES.F32]: 4 * GROUP,
  [GGML_TYPES.Q4_0]: 2 + GROUP / 2,
  [GGML_TYPES.Q8_0]: 2 + GROUP,
} as Readonly<Record<number, number>>;

function byteLength(type: number, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1) / GROUP * BLOCK_BYTES[type];
}

const aligned = (bytes: number) => Math.ceil(bytes / GGUF_ALIGNMENT) * GGUF_ALIGNMENT;

function floats(checkpoint: Checkpoint, { of, shape }: Source): Uint8Array<ArrayBuffer> {
  const slice = checkpoint.tensor(of, { shape });
  return new Uint8Array(toF32(checkpoint.read(slice), slice.dtype).buffer);
}

/** Makes blocks: the scale and codes of each group, one block after another. */
function blocks(
  config: ModelConfig,
  checkpoint: Checkpoint,
  { of, shape: [columns, inner] }: Source,
): Uint8Array<ArrayBuffer> {
  const { scheme } = config.quantisation!;
  const shape = [columns, storedRowBytes(scheme, inner)];
  const codes = checkpoint.read(checkpoint.tensor(of, { shape, dtypes: [scheme.dtype] }));
  const groups = [columns, groupsOf(scheme, inner)];
  const scales = checkpoint.read(checkpoint.tensor(scaleName(of), { shape: groups }));
  const codeBytes = GROUP * scheme.bits / 8;
  const { pack } = FORMATS[scheme.name as QuantisedName];
  const count = columns * groups[1];
  const made = new Uint8Array(count * (2 + codeBytes));
  for (let group = 0; group < count; group++) {
    const at = group * (2 + codeBytes);
    made.set(scales.subarray(2 * group, 2 * group + 2), at);
    const from = codes.subarray(group * codeBytes, (group + 1) * codeBytes);
    made.set(pack(from), at + 2);
  }
  return made;
}

/**
 * Reorders channels: llama.cpp rotates 2 i and 2 i + 1 of a head together, LLaDA i and i + headDim
 * / 2.
 */
function inRotationOrder(
  bytes: Uint8Array<ArrayBuffer>,
  { shape, rotatedHeads }: Source,
): Uint8Array<ArrayBuffer> {
  if (rotatedHeads === undefined) return bytes;
  const rowBytes = bytes.length / shape[0];
  const headDim = shape[0] / rotatedHeads;
  const ordered = new Uint8Array(bytes.length);
  for (let row = 0; row < shape[0]; row++) {
    const channel = row % headDim;
    const from = row - channel + (channel >> 1) + (channel & 1) * headDim / 2;
    ordered.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return ordered;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array<ArrayBuffer>): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}
