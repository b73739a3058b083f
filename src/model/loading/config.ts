/**
 * `config.json` -> {@linkcode ModelConfig}. Every field that changes what the model computes is
 * checked here and nowhere else, and none is assumed: the defaults of the published configuration
 * class differ from the published file (`weight_tying` true, `rope` false, `embedding_size` 50304).
 *
 * Sources: `config.json` and `configuration_llada.py` of GSAI-ML/LLaDA-8B-Instruct.
 */
import { join } from "node:path";
import type { CanvasStep } from "../../denoise/predictor.ts";
import {
  GROUP_SIZES,
  QUANTISED,
  quantised,
  type QuantisedName,
  type QuantScheme,
  SCHEMES,
} from "../../quant/scheme.ts";
import { isJsonObject, type JsonObject, readJsonObject } from "../../weights/json_file.ts";
import { ConfigError } from "../../weights/model_file_error.ts";
import { Fields } from "./config_fields.ts";

export { ConfigError } from "../../weights/model_file_error.ts";

/** Largest config.json read, in bytes; the published one has about 1500. */
export const MAX_CONFIG = 2 ** 20;
/** Sizes and positions are exact in f32 up to here. */
const MAX_SIZE = 2 ** 24;
/** Far above any model, and low enough to list their tensors. */
const MAX_LAYERS = 4096;

/** What a LLaDA model computes, in this project's names. */
export interface ModelConfig {
  /** `model_type`: the family. */
  readonly modelType: "llada";
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
  /** `eos_token_id`. */
  readonly eosTokenId: number;
  /** `pad_token_id`. */
  readonly padTokenId: number;
  /** `quantization_config`: how matrices are stored; undefined where they are floats. */
  readonly quantisation?: StoredQuantisation;
}

/** How a folder stores its quantised matrices. */
export interface StoredQuantisation {
  /** Of the linear layers inside the blocks. */
  readonly scheme: QuantScheme;
  /** Whether the head is stored so too; embedding and norms never are. */
  readonly head: boolean;
}

/** `quant_method` of the folders that this project writes. */
export const QUANT_METHOD = "unmask";

/**
 * Reads `config.json` of a model folder.
 * @throws {ConfigError} as {@linkcode parseConfig}, and when there is no such file
 */
export function readConfig(dir: string): ModelConfig {
  const file = join(dir, "config.json");
  return parseConfig(readJsonObject(file, MAX_CONFIG, ConfigError), file);
}

/**
 * The configuration with a shorter context, which makes for smaller tables and buffers.
 * @param tokens longest prompt plus answer; undefined leaves it
 * @throws {RangeError} when the model's context is shorter
 */
export function limitContext(config: ModelConfig, tokens: number | undefined): ModelConfig {
  if (tokens === undefined) return config;
  const { maxSequenceLength } = config;
  if (!Number.isInteger(tokens) || tokens < 2 || tokens > maxSequenceLength) {
    throw new RangeError(
      `a context of ${tokens} tokens, expected a whole number from 2 to the model's ` +
        `${maxSequenceLength} (--context)`,
    );
  }
  return { ...config, maxSequenceLength: tokens };
}

/**
 * Checks the parsed `config.json`. Fields that play no part in a forward pass may hold anything
 * (dropout, `init_*`, `precision`, `auto_map`, whatever is unknown).
 * @param file path for error messages
 * @throws {ConfigError} naming the field that is missing, wrong or not supported
 */
export function parseConfig(json: unknown, file: string): ModelConfig {
  if (!isJsonObject(json)) {
    throw new ConfigError({ file, field: "content", found: "no object", expected: "an object" });
  }
  const fields = new Fields(json, file);
  // First, so that a folder of another family is told by this and not by the fields it lacks.
  fields.only("model_type", ["llada"]);
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
  const tokens = {
    maskTokenId: fields.integer("mask_token_id", 0, embeddingSize - 1, rows),
    eosTokenId: fields.integer("eos_token_id", 0, embeddingSize - 1, rows),
    padTokenId: fields.integer("pad_token_id", 0, embeddingSize - 1, rows),
  };
  if (tokens.maskTokenId === tokens.eosTokenId) {
    const expected = "another id than eos_token_id, or an answer could not end";
    throw fields.wrong("mask_token_id", `${tokens.maskTokenId}`, expected);
  }
  return {
    modelType: "llada",
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
    ...tokens,
    ...readQuantisation(fields, file),
  };
}

/** `quantization_config`; without one nothing is quantised. */
function readQuantisation(
  fields: Fields,
  file: string,
): { readonly quantisation?: StoredQuantisation } {
  const field = "quantization_config";
  const quantisation = fields.ifPresent(field, () => {
    const json = fields.value(field);
    if (!isJsonObject(json)) throw fields.wrong(field, fields.show(field), "an object");
    const inner = new Fields(json, `${file}: ${field}`);
    inner.only("quant_method", [QUANT_METHOD]);
    inner.only("symmetric", [true]);
    inner.only("scale_dtype", ["float16"]);
    const bitsOf = (name: QuantisedName) => SCHEMES[name].bits;
    const bits = inner.only("bits", QUANTISED.map(bitsOf));
    const name = QUANTISED.find((name) => bitsOf(name) === bits)!;
    const scheme = quantised(name, inner.only("group_size", GROUP_SIZES));
    return { scheme, head: inner.only("head", [true, false]) };
  });
  return quantisation ? { quantisation } : {};
}

/** What `quantization_config` says of a folder stored so; {@linkcode parseConfig} reads it back. */
export function quantisationJson({ scheme, head }: StoredQuantisation): JsonObject {
  return {
    quant_method: QUANT_METHOD,
    bits: scheme.bits,
    group_size: scheme.group,
    symmetric: true,
    scale_dtype: "float16",
    head,
  };
}

/** Fields with one supported value: what the forward pass does, and the parts it does not have. */
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
  // No part of the published configuration; where they stand, they change the numbers.
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
  // The configuration class, too, refuses a false that contradicts n_kv_heads.
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

type Remasking = CanvasStep["remasking"];

/** What a model folder says about generating with it; a field is undefined where it says nothing. */
export interface GenerationDefaults {
  /** `gen_length`: tokens of an answer, in whole blocks. */
  readonly genLength?: number;
  /** `block_length`: tokens per block. */
  readonly blockLength?: number;
  /** `steps`: denoising steps in all, a multiple of the number of blocks. */
  readonly steps?: number;
  /** `temperature`; 0 is greedy. */
  readonly temperature?: number;
  /** `cfg_scale`; 0 is off. */
  readonly cfgScale?: number;
  /** `remasking`. */
  readonly remasking?: Remasking;
  /** `bos_token_id`. */
  readonly bosTokenId?: number;
  /** `eot_token_id`: ends a turn. */
  readonly eotTokenId?: number;
}

/**
 * Reads `generation_config.json` of a model folder; without one, nothing is defined.
 * @param config of the same folder: token ids must fit it, and those in both files must agree
 * @param remaskings what `remasking` may be
 * @throws {ConfigError} naming the field that is wrong
 */
export function readGenerationDefaults(
  dir: string,
  config: ModelConfig,
  remaskings: readonly Remasking[],
): GenerationDefaults {
  const file = join(dir, "generation_config.json");
  let json: JsonObject;
  try {
    json = readJsonObject(file, MAX_CONFIG, ConfigError);
  } catch (error) {
    if (error instanceof ConfigError && error.found === "missing") return {};
    throw error;
  }
  const fields = new Fields(json, file);
  checkTokenAgrees(fields, "mask_token_id", config.maskTokenId);
  checkTokenAgrees(fields, "eos_token_id", config.eosTokenId);
  checkTokenAgrees(fields, "pad_token_id", config.padTokenId);
  const integer = (field: string, least: number, most: number, because?: string) =>
    fields.ifPresent(field, () => fields.integer(field, least, most, because));
  const length = [1, config.maxSequenceLength, "max_sequence_length is that"] as const;
  const token = [0, config.embeddingSize - 1, `embedding_size is ${config.embeddingSize}`] as const;
  const amount = (field: string) => fields.ifPresent(field, () => fields.notNegative(field));

  const genLength = integer("gen_length", ...length);
  const blockLength = integer("block_length", ...length);
  const steps = integer("steps", 1, MAX_SIZE);
  if (genLength !== undefined && blockLength !== undefined) {
    fields.divisor("block_length", "gen_length", genLength);
    const blocks = genLength / blockLength;
    if (steps !== undefined && steps % blocks !== 0) {
      throw fields.wrong("steps", `${steps}`, `a multiple of ${blocks}, the number of blocks`);
    }
  }
  return {
    genLength,
    blockLength,
    steps,
    temperature: amount("temperature"),
    cfgScale: amount("cfg_scale"),
    remasking: fields.onlyIfPresent("remasking", remaskings),
    bosTokenId: integer("bos_token_id", ...token),
    eotTokenId: integer("eot_token_id", ...token),
  };
}

/** An id that config.json gives as well; published files may list several here. */
function checkTokenAgrees(fields: Fields, field: string, id: number): void {
  fields.ifPresent(field, () => {
    const value = fields.value(field);
    if (Array.isArray(value) ? value.includes(id) : value === id) return;
    throw fields.wrong(field, fields.show(field), `${id}, as in config.json`);
  });
}
