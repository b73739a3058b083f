import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { REMASKINGS } from "../../../src/denoise/selection.ts";
import { ConfigError, parseConfig, readConfig } from "../../../src/model/loading/config.ts";
import { readGenerationDefaults } from "../../../src/model/loading/generation_defaults.ts";
import { LLADA_8B } from "./llada_8b.ts";

const golden = fileURLToPath(new URL("../../golden/checkpoints/", import.meta.url));
const tiny = fileURLToPath(new URL("../../../models/tiny-target", import.meta.url));

/** `config.json` of GSAI-ML/LLaDA-8B-Instruct, as published. */
const PUBLISHED = {
  activation_type: "silu",
  alibi: false,
  alibi_bias_max: 8.0,
  architectures: ["LLaDAModelLM"],
  attention_dropout: 0.0,
  attention_layer_norm: false,
  attention_layer_norm_with_affine: true,
  auto_map: { AutoConfig: "configuration_llada.LLaDAConfig" },
  bias_for_layer_norm: false,
  block_group_size: 1,
  block_type: "llama",
  d_model: 4096,
  embedding_dropout: 0.0,
  embedding_size: 126464,
  eos_token_id: 126081,
  flash_attention: false,
  include_bias: false,
  include_qkv_bias: false,
  init_cutoff_factor: null,
  init_device: "meta",
  init_fn: "mitchell",
  init_std: 0.02,
  input_emb_norm: false,
  layer_norm_type: "rms",
  layer_norm_with_affine: true,
  mask_token_id: 126336,
  max_sequence_length: 4096,
  mlp_hidden_size: 12288,
  mlp_ratio: 4,
  model_type: "llada",
  multi_query_attention: null,
  n_heads: 32,
  n_kv_heads: 32,
  n_layers: 32,
  pad_token_id: 126081,
  precision: "amp_bf16",
  residual_dropout: 0.0,
  rms_norm_eps: 1e-05,
  rope: true,
  rope_full_precision: true,
  rope_theta: 500000.0,
  scale_logits: false,
  transformers_version: "4.46.3",
  use_cache: false,
  vocab_size: 126464,
  weight_tying: false,
};

const parse = (json: unknown) => parseConfig(json, "x/config.json");

Deno.test("the published config.json gives the published model", () => {
  assertEquals(parse(PUBLISHED), LLADA_8B);
});

Deno.test("fields that play no part in a forward pass may be absent, null, or hold anything", () => {
  const resaved = {
    ...PUBLISHED,
    _name_or_path: "GSAI-ML/LLaDA-8B-Instruct",
    torch_dtype: "bfloat16",
    kept_layers: [0, 1, 5],
    attention_dropout: 0.1,
    residual_dropout: 0.1,
    embedding_dropout: 0.1,
    attention_layer_norm_with_affine: false,
    flash_attention: true,
    precision: null,
    rope_scaling: null,
    quantization_config: null,
    bias_for_layer_norm: null, // takes the value of include_bias
    mlp_ratio: null, // mlp_hidden_size is given
  };
  assertEquals(parse(resaved), LLADA_8B);
});

Deno.test("a field that is taken out is missed, or changes nothing: none is guessed", () => {
  const missed: string[] = [];
  for (const field of Object.keys(PUBLISHED)) {
    const rest = Object.fromEntries(Object.entries(PUBLISHED).filter(([name]) => name !== field));
    try {
      assertEquals(parse(rest), LLADA_8B, field);
    } catch (error) {
      assert(error instanceof ConfigError, `${field}: ${error}`);
      assertEquals([error.file, error.field, error.found], ["x/config.json", field, "missing"]);
      missed.push(field);
    }
  }
  assertEquals(missed.length, 28);
});

Deno.test("null stands for what its documentation says", () => {
  assertEquals(parse({ ...PUBLISHED, n_kv_heads: null }), LLADA_8B);
  assertEquals(parse({ ...PUBLISHED, n_kv_heads: 8 }).kvHeads, 8);
  assertEquals(parse({ ...PUBLISHED, mlp_hidden_size: null }).ffnSize, 4 * 4096);
  assertEquals(parse({ ...PUBLISHED, multi_query_attention: false }), LLADA_8B);
});

Deno.test("heads of 16 to 128 channels, an even number, are supported", () => {
  for (const [size, heads] of [[64, 4], [4096, 32], [90, 5], [96, 3]]) {
    const config = parse({ ...PUBLISHED, d_model: size, n_heads: heads, n_kv_heads: null });
    assertEquals([config.headDim, config.kvHeads], [size / heads, heads]);
  }
  for (const [size, heads] of [[14, 1], [85, 5], [130, 1], [4096, 16]]) {
    const json = { ...PUBLISHED, d_model: size, n_heads: heads, n_kv_heads: null };
    const found = `n_heads is ${heads}, which makes heads of ${size / heads} channels, expected`;
    assertThrows(() => parse(json), ConfigError, found);
  }
});

Deno.test("what is no object is refused", () => {
  for (const json of [null, [], "llada", 1]) {
    assertThrows(() => parse(json), ConfigError, "x/config.json: content is ");
  }
});

Deno.test("the golden configs differ where they are meant to", () => {
  const gqa = readConfig(join(golden, "gqa-bf16"));
  assertEquals([gqa.heads, gqa.kvHeads, gqa.headDim, gqa.normEpsilon], [8, 2, 16, 1e-6]);
  const tied = readConfig(join(golden, "tied-f16"));
  assertEquals([tied.tiedHead, tied.heads, tied.kvHeads, tied.normEpsilon], [true, 3, 3, 1e-4]);
  const shape = readConfig(join(golden, "llada-shape-bf16"));
  assertEquals([shape.vocabSize, shape.embeddingSize, shape.headDim], [1003, 1024, 128]);
});

Deno.test("generation_config.json of the embedded model", () => {
  assertEquals(readGenerationDefaults(tiny, readConfig(tiny), REMASKINGS), {
    genLength: 64,
    blockLength: 32,
    steps: 64,
    temperature: 0,
    cfgScale: 0,
    remasking: "low_confidence",
    bosTokenId: 2032,
    endTokenIds: [2033],
    eotTokenId: 2036,
  });
});

/** What `generation_config.json` with this text gives beside the embedded model's config. */
function generationDefaults(text: string) {
  const dir = Deno.makeTempDirSync({ prefix: "unmask-config-" });
  try {
    Deno.writeTextFileSync(join(dir, "generation_config.json"), text);
    return readGenerationDefaults(dir, readConfig(tiny), REMASKINGS);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("a folder without generation defaults, or with few, defines no others", () => {
  const mha = join(golden, "mha-f32");
  const none = readGenerationDefaults(mha, readConfig(mha), REMASKINGS);
  assert(Object.values(none).every((value) => value === undefined));
  const few = generationDefaults(
    '{"eos_token_id": [2033, 2036], "steps": null, "transformers_version": "4.46.3", "steps_": 3,' +
      '"bos_token_id": 2032}',
  );
  const { bosTokenId, endTokenIds, ...others } = few;
  assertEquals([bosTokenId, endTokenIds], [2032, [2033, 2036]]);
  assert(Object.values(others).every((value) => value === undefined));
});

Deno.test("do_sample decides whether a temperature counts", () => {
  const temperature = (text: string) => generationDefaults(text).temperature;
  assertEquals(temperature('{"do_sample": false, "temperature": 0.6}'), 0);
  assertEquals(temperature('{"do_sample": false}'), 0);
  assertEquals(temperature('{"do_sample": true, "temperature": 0.6}'), 0.6);
  assertEquals(temperature('{"do_sample": true}'), 1);
  assertEquals(temperature('{"do_sample": null, "temperature": 0.6}'), 0.6);
});

Deno.test("end ids: one or a list, in either file", () => {
  assertEquals(generationDefaults('{"eos_token_id": 46}').endTokenIds, [46]);
  const several = parse({ ...PUBLISHED, eos_token_id: [126081, 126348] });
  assertEquals(several, { ...LLADA_8B, otherEndTokenIds: [126348] });
});

Deno.test("token ids that config.json lacks come from generation_config.json", () => {
  const dir = Deno.makeTempDirSync({ prefix: "unmask-config-" });
  try {
    const { mask_token_id: _, ...rest } = { ...PUBLISHED, eos_token_id: null };
    Deno.writeTextFileSync(join(dir, "config.json"), JSON.stringify(rest));
    assertThrows(() => readConfig(dir), ConfigError, "mask_token_id is missing");
    const ids = { mask_token_id: 126336, eos_token_id: [126081, 126348] };
    Deno.writeTextFileSync(join(dir, "generation_config.json"), JSON.stringify(ids));
    assertEquals(readConfig(dir), { ...LLADA_8B, otherEndTokenIds: [126348] });
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a generation default that is wrong is refused by name", () => {
  const cases: [text: string, message: string][] = [
    ['{"gen_length": 0}', "gen_length is 0, expected an integer from 1 to 512"],
    [
      '{"gen_length": 513}',
      "gen_length is 513, expected an integer from 1 to 512, because max_seq",
    ],
    ['{"block_length": "32"}', 'block_length is "32", expected an integer from 1 to 512'],
    ['{"gen_length": 64, "block_length": 48}', "block_length is 48, expected a divisor of gen_len"],
    ['{"steps": 1.5}', "steps is 1.5, expected an integer"],
    [
      '{"gen_length": 64, "block_length": 16, "steps": 6}',
      "steps is 6, expected a multiple of 4, the number of blocks",
    ],
    ['{"temperature": -1}', "temperature is -1, expected a number of 0 or more"],
    ['{"cfg_scale": "0"}', 'cfg_scale is "0", expected a number of 0 or more'],
    ['{"remasking": "entropy"}', 'remasking is "entropy", expected "low_confidence" or "random"'],
    ['{"eot_token_id": 2048}', "eot_token_id is 2048, expected an integer from 0 to 2047, because"],
    ['{"bos_token_id": -1}', "bos_token_id is -1, expected an integer from 0 to 2047, because"],
    ['{"mask_token_id": 7}', "mask_token_id is 7, expected 2037, as in config.json"],
    ['{"eos_token_id": [7, 2048]}', "eos_token_id is [7, 2048], expected one or several integers"],
    ['{"eos_token_id": 2037}', "eos_token_id is 2037, expected other ids than mask_token_id 2037"],
    ['{"do_sample": "no"}', 'do_sample is "no", expected true or false'],
    ['{"steps": 1, "steps": 2}', 'content is an object that holds the key "steps" twice'],
    ["[]", "content is [], expected a JSON object"],
  ];
  for (const [text, message] of cases) {
    const error = assertThrows(() => generationDefaults(text), ConfigError, `json: ${message}`);
    assertMatch(error.message, /generation_config\.json: .* is .*, expected .*\. \w/);
  }
});
