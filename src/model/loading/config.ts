/**
 * Reads `config.json` into a {@linkcode ModelConfig} and `generation_config.json` into
 * {@linkcode GenerationDefaults}. The fields that depend on the model's family are read by the
 * family.
 */
import { join } from "node:path";
import type { CanvasStep } from "../../denoise/predictor.ts";
import {
  GROUP_SIZES,
  QUANTISED,
  quantised,
  type QuantisedName,
  SCHEMES,
} from "../../quant/scheme.ts";
import { isJsonObject, type JsonObject, readJsonObject } from "../../weights/json_file.ts";
import { ConfigError } from "../../weights/model_file_error.ts";
import { FAMILIES, familyOf } from "../family.ts";
import type { ModelConfig, StoredQuantisation } from "../model_config.ts";
import { Fields, MAX_SIZE } from "./config_fields.ts";

export { ConfigError } from "../../weights/model_file_error.ts";
export type { ModelConfig, StoredQuantisation } from "../model_config.ts";

/** Largest config.json read, in bytes; the published one has about 1500. */
export const MAX_CONFIG = 2 ** 20;
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
 * Shortens the context of a configuration, which makes tables and buffers smaller.
 * @param tokens longest prompt plus answer; undefined leaves the model's context
 * @throws {RangeError} when the model's context is shorter than that
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
 * Checks the parsed `config.json`. Fields that do not affect a forward pass may hold anything
 * (dropout, `init_*`, `precision`, `auto_map`, unknown fields).
 * @param file path for error messages
 * @throws {ConfigError} naming the field that is missing, wrong or not supported
 */
export function parseConfig(json: unknown, file: string): ModelConfig {
  if (!isJsonObject(json)) {
    throw new ConfigError({ file, field: "content", found: "no object", expected: "an object" });
  }
  const fields = new Fields(json, file);
  // Checked first, so that the error of another family names model_type and not a missing field.
  const modelType = fields.only("model_type", Object.keys(FAMILIES));
  const config = familyOf({ modelType }).readConfig(fields);
  return { modelType, ...config, ...readQuantisation(fields, file) };
}

/** Reads `quantization_config`; without it nothing is quantised. */
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

/** The `quantization_config` of a quantised folder; {@linkcode parseConfig} reads it back. */
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

type Remasking = CanvasStep["remasking"];

/** A model folder's defaults for generating; a field that the folder does not give is undefined. */
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
 * Reads `generation_config.json` of a model folder; without the file, every field is undefined.
 * @param config configuration of the same folder; token ids must fit it, and be the same in both
 * files
 * @param remaskings allowed values of `remasking`
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

/** Checks an id that config.json gives too; published files may list several ids here. */
function checkTokenAgrees(fields: Fields, field: string, id: number): void {
  fields.ifPresent(field, () => {
    const value = fields.value(field);
    if (Array.isArray(value) ? value.includes(id) : value === id) return;
    throw fields.wrong(field, fields.show(field), `${id}, as in config.json`);
  });
}
