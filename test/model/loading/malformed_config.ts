/** Mistakes in config.json of a model folder. */
import { join } from "node:path";
import { FAMILIES } from "../../../src/model/family.ts";
import { QUANTISED as NAMES, SCHEMES } from "../../../src/quant/scheme.ts";
import {
  broken,
  DOWNLOAD_AGAIN,
  editJson,
  type Json,
  type Malformed,
  SINGLE,
} from "../../weights/broken_folder.ts";

function config(name: string, edit: (json: Json) => void, message: RegExp) {
  return broken(name, SINGLE, (dir) => editJson(join(dir, "config.json"), edit), message);
}

const inConfig = (text: string, remedy = DOWNLOAD_AGAIN) =>
  new RegExp(String.raw`[/\\]config\.json: ${text}\. ${remedy}`);
const NOT_SUPPORTED = "Other values are not supported: use another model\\.$";
const NOT_GUESSED = "A missing field is not guessed, because .*\\. Download the file again\\.$";

/** Fields of config.json without which nothing is computed right: none may be guessed. */
const REQUIRED_FIELDS = [
  "model_type",
  "block_type",
  "block_group_size",
  "activation_type",
  "layer_norm_type",
  "layer_norm_with_affine",
  "attention_layer_norm",
  "rope",
  "rope_full_precision",
  "rope_theta",
  "alibi",
  "include_bias",
  "include_qkv_bias",
  "input_emb_norm",
  "scale_logits",
  "weight_tying",
  "d_model",
  "n_layers",
  "n_heads",
  "n_kv_heads",
  "multi_query_attention",
  "mlp_hidden_size",
  "vocab_size",
  "embedding_size",
  "max_sequence_length",
  "rms_norm_eps",
  "mask_token_id",
  "eos_token_id",
];

/** Field, a value that is not supported, and the start of what is. */
const UNSUPPORTED: readonly [field: string, value: unknown, expected: string][] = [
  ["model_type", "unknown", Object.keys(FAMILIES).map((name) => `"${name}"`).join(" or ")],
  ["block_type", "sequential", '"llama"'],
  ["block_group_size", 2, "1"],
  ["activation_type", "swiglu", '"silu"'],
  ["layer_norm_type", "default", '"rms"'],
  ["layer_norm_with_affine", false, "true"],
  ["attention_layer_norm", true, "false"],
  ["rope", false, "true"],
  ["rope_full_precision", false, "true"],
  ["alibi", true, "false"],
  ["include_bias", true, "false"],
  ["include_qkv_bias", true, "false"],
  ["bias_for_layer_norm", true, "false"],
  ["input_emb_norm", true, "false"],
  ["scale_logits", true, "false"],
  ["weight_tying", "false", "true or false"],
  ["multi_query_attention", true, "null or false"],
];

/** Field, a value that makes no sense here, the start of what would. */
const IMPOSSIBLE: readonly [field: string, value: unknown, found: string, expected: string][] = [
  ["d_model", 64.5, "64\\.5", "an integer from 1 to 16777216"],
  ["d_model", null, "null", "an integer from 1 to 16777216"],
  ["n_heads", 3, "3", "a divisor of d_model, which is 64"],
  ["n_heads", 0, "0", "a divisor of d_model, which is 64"],
  [
    "n_heads",
    8,
    "8, which makes heads of 8 channels",
    "heads of an even number of channels from 16 to 128",
  ],
  ["n_kv_heads", 3, "3", "a divisor of n_heads, which is 4"],
  ["n_layers", 0, "0", "an integer from 1 to 4096"],
  ["n_layers", 1e9, "1000000000", "an integer from 1 to 4096"],
  ["mlp_hidden_size", "160", '"160"', "an integer from 1 to 16777216"],
  ["vocab_size", 400, "400", "an integer from 1 to 320, because embedding_size is 320"],
  ["mask_token_id", 320, "320", "an integer from 0 to 319, because embedding_size is 320"],
  [
    "eos_token_id",
    -1,
    "-1",
    "one or several integers from 0 to 319, because embedding_size is 320",
  ],
  ["eos_token_id", [], "\\[\\]", "one or several integers from 0 to 319, because .*"],
  ["eos_token_id", [5, 320], "\\[5, 320\\]", "one or several integers from 0 to 319, because .*"],
  ["eos_token_id", 318, "318", "other ids than mask_token_id 318, or an answer could not end"],
  ["max_sequence_length", 0, "0", "an integer from 1 to 16777216"],
  ["rms_norm_eps", 0, "0", "a number above 0"],
  ["rms_norm_eps", 1e-60, "1e-60", "a number above 0"],
  ["rope_theta", "10000", '"10000"', "a number above 0"],
];

/** Bits of the schemes that there are. */
const BITS = NAMES.map((name) => SCHEMES[name].bits);

const QUANTISED = {
  quant_method: "unmask",
  bits: 8,
  group_size: 32,
  symmetric: true,
  scale_dtype: "float16",
  head: false,
};

/** Name, `quantization_config`, the error. */
const QUANTISATIONS: readonly [name: string, json: unknown, expected: string][] = [
  ["no object", 4, "quantization_config is 4, expected an object"],
  [
    "of others",
    { ...QUANTISED, quant_method: "gptq" },
    'quantization_config: quant_method is "gptq", expected "unmask"',
  ],
  [
    "of 3 bits",
    { ...QUANTISED, bits: 3 },
    `quantization_config: bits is 3, expected ${BITS.join(" or ")}`,
  ],
  [
    "in groups of 128",
    { ...QUANTISED, group_size: 128 },
    "quantization_config: group_size is 128, expected 32 or 64",
  ],
];

/** Every mistake here. */
export const MALFORMED_CONFIGS: readonly Malformed[] = [
  broken(
    "no config",
    SINGLE,
    (dir) => Deno.removeSync(join(dir, "config.json")),
    inConfig("file is missing, expected a file of this name"),
  ),
  broken(
    "config not JSON",
    SINGLE,
    (dir) => Deno.writeTextFileSync(join(dir, "config.json"), "{d_model"),
    inConfig('content is not JSON \\("\\{d_model"\\), expected a JSON object'),
  ),
  broken(
    "config an array",
    SINGLE,
    (dir) => Deno.writeTextFileSync(join(dir, "config.json"), "[1]"),
    inConfig("content is \\[1\\], expected a JSON object"),
  ),
  broken(
    "config too large",
    SINGLE,
    (dir) => Deno.truncateSync(join(dir, "config.json"), 2 ** 20 + 1),
    inConfig("size is 1048577 bytes, expected at most 1048576"),
  ),
  broken("config with a field twice", SINGLE, (dir) => {
    const text = Deno.readTextFileSync(join(dir, "config.json"));
    Deno.writeTextFileSync(join(dir, "config.json"), text.replace("{", '{"n_layers": 1,'));
  }, inConfig('content is an object that holds the key "n_layers" twice, expected every key once')),
  ...REQUIRED_FIELDS.map((field) =>
    config(
      `${field} missing`,
      (json) => delete json[field],
      inConfig(`${field} is missing, expected .+`, NOT_GUESSED),
    )
  ),
  ...UNSUPPORTED.map(([field, value, expected]) =>
    config(
      `${field} ${JSON.stringify(value)}`,
      (json) => json[field] = value,
      inConfig(`${field} is ${JSON.stringify(value)}, expected ${expected}`, NOT_SUPPORTED),
    )
  ),
  ...QUANTISATIONS.map(([name, quantisation, expected]) =>
    config(
      `quantization_config ${name}`,
      (json) => json["quantization_config"] = quantisation,
      inConfig(expected, name === "no object" ? DOWNLOAD_AGAIN : NOT_SUPPORTED),
    )
  ),
  ...["rope_scaling", "clip_qkv", "sliding_window"].map((field) =>
    config(
      `${field} present`,
      (json) => json[field] = { bits: 4 },
      inConfig(
        `${field} is an object, expected no such field, or null`,
        "This is not supported: use a model without it\\.$",
      ),
    )
  ),
  ...IMPOSSIBLE.map(([field, value, found, expected]) =>
    config(
      `${field} ${JSON.stringify(value)}`,
      (json) => json[field] = value,
      inConfig(`${field} is ${found}, expected ${expected}`),
    )
  ),
  config(
    "multi_query_attention false with fewer KV heads",
    (json) => Object.assign(json, { multi_query_attention: false, n_kv_heads: 2 }),
    inConfig("multi_query_attention is false with n_kv_heads 2, expected null, or .*"),
  ),
  config(
    "no feed-forward size",
    (json) => Object.assign(json, { mlp_hidden_size: null, mlp_ratio: undefined }),
    inConfig("mlp_ratio is missing, expected an integer .*", NOT_GUESSED),
  ),
];
