/**
 * `config.json` -> {@linkcode ModelConfig}: the model's family reads the fields that are its own, and
 * this file what all folders have alike.
 */
import { join } from "node:path";
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
import { Fields } from "./config_fields.ts";

export { ConfigError } from "../../weights/model_file_error.ts";
export type { ModelConfig, StoredQuantisation } from "../model_config.ts";

/** Largest config.json read, in bytes; the published one has about 1500. */
export const MAX_CONFIG = 2 ** 20;
/** `quant_method` of the folders that this project writes. */
export const QUANT_METHOD = "unmask";

/** Token ids that generation_config.json may give in place of config.json. */
const SHARED_IDS = ["mask_token_id", "eos_token_id"];

/**
 * Reads `config.json` of a model folder; token ids that it lacks, from `generation_config.json`.
 * @throws {ConfigError} as {@linkcode parseConfig}, and when there is no such file
 */
export function readConfig(dir: string): ModelConfig {
  const file = join(dir, "config.json");
  const json = readJsonObject(file, MAX_CONFIG, ConfigError);
  const lacking = SHARED_IDS.filter((field) => (json[field] ?? null) === null);
  const other = lacking.length > 0 ? readGenerationConfig(dir) ?? {} : {};
  const found = lacking.filter((field) => (other[field] ?? null) !== null);
  return parseConfig({ ...json, ...Object.fromEntries(found.map((id) => [id, other[id]])) }, file);
}

/**
 * `generation_config.json` of a model folder; undefined where there is none.
 * @throws {ConfigError} when it is not a JSON object
 */
export function readGenerationConfig(dir: string): JsonObject | undefined {
  try {
    return readJsonObject(join(dir, "generation_config.json"), MAX_CONFIG, ConfigError);
  } catch (error) {
    if (error instanceof ConfigError && error.found === "missing") return undefined;
    throw error;
  }
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
