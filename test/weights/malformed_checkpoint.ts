import { join } from "node:path";
import {
  broken,
  editJson,
  FIRST,
  header,
  type Json,
  type Malformed,
  SHARDED,
  SINGLE,
  split,
  tensor,
  WEIGHTS,
  weights,
  writeRaw,
} from "./broken_folder.ts";

const INDEX = "model.safetensors.index.json";
const SHARD1 = "model-00001-of-00002.safetensors";
const SHARD2 = "model-00002-of-00002.safetensors";
/** A tensor in the first shard. */
const SHARDED_TENSOR = "model.transformer.blocks.0.q_proj.weight";
const ANOTHER_MODEL = ".* are not of the same model: download the folder again\\.$";

function index(name: string, edit: (json: Json) => void, message: RegExp) {
  return broken(name, SHARDED, (dir) => editJson(join(dir, INDEX), edit), message);
}

function config(name: string, edit: (json: Json) => void, message: RegExp) {
  return broken(name, SINGLE, (dir) => editJson(join(dir, "config.json"), edit), message);
}

/** Mistakes between the files of a folder. */
export const MALFORMED_CHECKPOINTS: readonly Malformed[] = [
  broken(
    "no weights",
    SINGLE,
    (dir) => Deno.removeSync(join(dir, WEIGHTS)),
    /: weight file is missing, expected model\.safetensors or model\.safetensors\.index\.json\. Give a/,
  ),
  broken("weights are a folder", SINGLE, (dir) => {
    Deno.removeSync(join(dir, WEIGHTS));
    Deno.mkdirSync(join(dir, WEIGHTS));
  }, weights("file is a folder or device, expected a plain file")),
  broken(
    "index not JSON",
    SHARDED,
    (dir) => Deno.writeTextFileSync(join(dir, INDEX), "weights"),
    /index\.json: content is not JSON \("weights"\), expected a JSON object\. Download/,
  ),
  broken(
    "index too large",
    SHARDED,
    (dir) => Deno.truncateSync(join(dir, INDEX), 2 ** 22 + 1),
    /index\.json: size is 4194305 bytes, expected at most 4194304\. Download/,
  ),
  index(
    "no weight_map",
    (json) => delete json.weight_map,
    /index\.json: weight_map is missing, expected an object from tensor names to file names\. /,
  ),
  ...[
    "../model.safetensors",
    "/etc/x.safetensors",
    "a\\b.safetensors",
    "\x1bc.safetensors",
    "weights.bin",
  ].map((
    shard,
  ) =>
    index(
      `shard named ${JSON.stringify(shard)}`,
      (json) => (json.weight_map as Json)[SHARDED_TENSOR] = shard,
      new RegExp(
        `index\\.json: ${tensor(SHARDED_TENSOR)}: weight_map is ".*", ` +
          "expected the plain name of a \\.safetensors file in the same folder\\. Download",
      ),
    )
  ),
  broken(
    "missing shard",
    SHARDED,
    (dir) => Deno.removeSync(join(dir, SHARD2)),
    /model-00002-of-00002\.safetensors: file is missing, expected a file, because .*index\.json names/,
  ),
  index(
    "tensor mapped to the wrong shard",
    (json) => (json.weight_map as Json)[SHARDED_TENSOR] = SHARD2,
    new RegExp(
      `model-00002.*: ${tensor(SHARDED_TENSOR)} is missing, expected in this file, because`,
    ),
  ),
  index(
    "tensor in a shard but not in the index",
    (json) => delete (json.weight_map as Json)[SHARDED_TENSOR],
    new RegExp(`model-00001.*: ${tensor(SHARDED_TENSOR)} is present, expected absent, because`),
  ),
  broken("tensor in two shards", SHARDED, (dir) => {
    const { header, tensors } = split(join(dir, SHARD2));
    const entry = { dtype: "U8", shape: [0], data_offsets: [0, 0] };
    const text = JSON.stringify({ ...JSON.parse(header), [SHARDED_TENSOR]: entry });
    writeRaw(join(dir, SHARD2), BigInt(text.length), text, tensors);
  }, new RegExp(`model-00002.*: ${tensor(SHARDED_TENSOR)} is present, expected only in ${SHARD1}`)),
  header("missing tensor", (entries) => {
    entries["other"] = entries[FIRST];
    delete entries[FIRST];
  }, weights(`${tensor(FIRST)} is missing, expected shape \\[64\\]`)),
  header(
    "transposed shape",
    (entries) => {
      entries["model.transformer.blocks.0.ff_proj.weight"].shape = [64, 160];
    },
    weights(
      'tensor ".*0\\.ff_proj\\.weight": shape is \\[64, 160\\], expected \\[160, 64\\], .*',
      ANOTHER_MODEL,
    ),
  ),
  broken(
    "a bias",
    SINGLE,
    (dir) => {
      const { header, tensors } = split(join(dir, WEIGHTS));
      const data_offsets = [tensors.length, tensors.length + 4];
      const bias = { dtype: "F32", shape: [1], data_offsets };
      const entries = { ...JSON.parse(header), "model.transformer.blocks.0.q_proj.bias": bias };
      const text = JSON.stringify(entries);
      writeRaw(join(dir, WEIGHTS), BigInt(text.length), text, tensors, new Uint8Array(4));
    },
    weights(
      'tensor ".*0\\.q_proj\\.bias" is present, expected absent: not one of the 30 .*',
      ANOTHER_MODEL,
    ),
  ),
  config(
    "fewer layers in config than in weights",
    (json) => json.n_layers = 2,
    weights(
      'tensor ".*blocks\\.2\\.[a-z_]+\\.weight" is present, expected absent: .*',
      ANOTHER_MODEL,
    ),
  ),
  config(
    "more layers in config than in weights",
    (json) => json.n_layers = 4,
    weights('tensor ".*blocks\\.3\\.attn_norm\\.weight" is missing, expected shape \\[64\\]'),
  ),
  config(
    "tied embedding beside a head",
    (json) => json.weight_tying = true,
    weights(
      'tensor "model\\.transformer\\.ff_out\\.weight" is present, expected absent: .*',
      ANOTHER_MODEL,
    ),
  ),
];
