/** Models that tests put on the hub's server: one in shards with things around it, and the embedded one. */

import { fileURLToPath } from "node:url";
import { HubServer, noise, type ServedFile, type ServedRepository, text } from "./hub_server.ts";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";
export const SHARDED = "some-org/sharded.model";
export const TINY = "unmask-test/tiny";

const shards = ["model-00001-of-00003", "model-00002-of-00003", "model-00003-of-00003"]
  .map((name) => `${name}.safetensors`);

/** A model of three shards that no test loads, and much that no model needs. */
export const sharded: ServedRepository = {
  commit: COMMIT,
  refs: ["main", "v1.0", "refs/pr/1"],
  files: {
    "config.json": text('{"model_type": "llada"}'),
    "tokenizer.json": { content: noise(70_000, 1), large: true },
    "tokenizer_config.json": text("{}"),
    "special_tokens_map.json": text("{}"),
    "model.safetensors.index.json": text(
      JSON.stringify({ weight_map: Object.fromEntries(shards.map((name, i) => [`w${i}`, name])) }),
    ),
    ...Object.fromEntries(
      shards.map((
        name,
        i,
      ) => [name, { content: noise(1_000_000 + i * 99_999, i + 2), large: true }]),
    ),
    "consolidated.safetensors": { content: noise(10, 9), large: true },
    "pytorch_model.bin": { content: noise(10, 10), large: true },
    "model.gguf": { content: noise(10, 11), large: true },
    "onnx/model.onnx": { content: noise(10, 12), large: true },
    "modeling_llada.py": text("raise SystemExit"),
    "README.md": text("# A model"),
    "picture.png": { content: noise(10, 13), large: true },
  },
};

/** What of it a pull fetches. */
export const WANTED: readonly string[] = [
  "config.json",
  ...shards,
  "model.safetensors.index.json",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
];

/** The embedded model as a repository. */
export function tinyRepository(): ServedRepository {
  const folder = new URL("../../models/tiny-target/", import.meta.url);
  const files: Record<string, ServedFile> = {};
  for (const { name } of Deno.readDirSync(fileURLToPath(folder))) {
    const content = Deno.readFileSync(new URL(name, folder));
    files[name] = { content, large: name.endsWith(".safetensors") };
  }
  return { commit: COMMIT, refs: ["main"], files };
}

/** A server of these models. */
export function hubServer(
  more: Readonly<Record<string, ServedRepository>> = {},
): HubServer {
  return new HubServer({ [SHARDED]: sharded, ...more });
}
