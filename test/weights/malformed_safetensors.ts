import { join } from "node:path";
import {
  broken,
  FIRST,
  header,
  headerText,
  type Malformed,
  SINGLE,
  tensor,
  WEIGHTS,
  weights,
  writeRaw,
} from "./broken_folder.ts";

const SECOND = "model.transformer.blocks.0.attn_out.weight";

/** Mistakes within one safetensors file. */
export const MALFORMED_SAFETENSORS: readonly Malformed[] = [
  broken(
    "empty file",
    SINGLE,
    (dir) => Deno.writeFileSync(join(dir, WEIGHTS), new Uint8Array(0)),
    weights("size is 0 bytes, expected 8 or more"),
  ),
  broken(
    "header length beyond the file",
    SINGLE,
    (dir) => writeRaw(join(dir, WEIGHTS), 5000n, "{}"),
    weights("header length is 5000, expected at most 2 bytes"),
  ),
  broken(
    "header length near 2^64",
    SINGLE,
    (dir) => writeRaw(join(dir, WEIGHTS), 2n ** 64n - 1n, "{}"),
    weights("header length is 18446744073709552000, expected at most 2 bytes"),
  ),
  broken(
    "Git LFS pointer instead of the file",
    SINGLE,
    (dir) =>
      Deno.writeTextFileSync(join(dir, WEIGHTS), "version https://git-lfs.github.com/spec/v1\n"),
    weights(
      "header length is the text of a Git LFS pointer, expected at most 35 bytes",
      "Fetch the file itself with `git lfs pull`\\.$",
    ),
  ),
  headerText(
    "header not UTF-8",
    () => Uint8Array.of(0x7b, 0xff, 0x7d),
    weights("header is not valid UTF-8, expected text in UTF-8"),
  ),
  headerText(
    "header not JSON",
    (text) => text.trimEnd().slice(0, -1),
    weights('header is not JSON \\("\\{.*\\.\\.\\.\\), expected a JSON object'),
  ),
  headerText(
    "header an array",
    () => "[]",
    weights("header is \\[\\], expected a JSON object"),
  ),
  headerText(
    "a tensor twice in the header",
    (text) => text.replace("{", `{"${FIRST}":{"dtype":"F32","shape":[64],"data_offsets":[0,256]},`),
    weights(`header is an object that holds the key "${FIRST}" twice, expected every key once`),
  ),
  header(
    "metadata not text",
    (entries) => Object.assign(entries, { __metadata__: { format: 1 } }),
    weights('__metadata__ is 1 for "format", expected an object of strings'),
  ),
  header(
    "entry not an object",
    (entries) => Object.assign(entries, { [FIRST]: null }),
    weights(`${tensor(FIRST)} is null, expected an object with dtype, shape and data_offsets`),
  ),
  header(
    "unknown dtype",
    (entries) => entries[FIRST].dtype = "F8_E4M3",
    weights(
      `${tensor(FIRST)}: dtype is "F8_E4M3", expected one of F32, F16, BF16, .*`,
      "Convert the checkpoint to one of these types\\.$",
    ),
  ),
  header(
    "integer weights",
    (entries) => entries[FIRST].dtype = "I32",
    weights(
      `${tensor(FIRST)}: dtype is "I32", expected one of F32, F16, BF16`,
      "Convert the checkpoint to one of these types\\.$",
    ),
  ),
  header(
    "negative shape",
    (entries) => entries[FIRST].shape = [-64],
    weights(`${tensor(FIRST)}: shape is \\[-64\\], expected an array of integers .*`),
  ),
  header(
    "shape beyond 2^53",
    (entries) => entries[FIRST].shape = [2 ** 53],
    weights(`${tensor(FIRST)}: shape is \\[9007199254740992\\], expected an array of integers .*`),
  ),
  header(
    "shape that overflows",
    (entries) => entries[FIRST].shape = [2 ** 40, 2 ** 40],
    weights(
      `${tensor(FIRST)}: data_offsets is \\[0, 256\\] \\(256 bytes\\), ` +
        "expected 4\\.8.*e\\+24 bytes for shape \\[1099511627776, 1099511627776\\] of F32",
    ),
  ),
  header(
    "offsets missing",
    (entries) => entries[FIRST].data_offsets = undefined,
    weights(`${tensor(FIRST)}: data_offsets is undefined, expected two integers .*`),
  ),
  header(
    "end before begin",
    (entries) => entries[FIRST].data_offsets = [256, 0],
    weights(
      `${tensor(FIRST)}: data_offsets is \\[256, 0\\], expected two integers .* begin <= end`,
    ),
  ),
  header(
    "byte range that does not fit the shape",
    (entries) => entries[FIRST].data_offsets = [0, 250],
    weights(
      `${tensor(FIRST)}: data_offsets is \\[0, 250\\] \\(250 bytes\\), ` +
        "expected 256 bytes for shape \\[64\\] of F32",
    ),
  ),
  header(
    "overlapping tensors",
    (entries) => entries[SECOND].data_offsets = [252, 16636],
    weights(
      `${tensor(SECOND)}: data_offsets is \\[252, 16636\\], expected a begin of 256, .*overlap`,
    ),
  ),
  header(
    "gap between tensors",
    (entries) => delete entries[SECOND],
    weights(
      `tensor ".*ff_norm\\.weight": data_offsets is \\[16640, 16896\\], ` +
        "expected a begin of 256, .*nothing may lie between them",
    ),
  ),
  broken(
    "truncated file",
    SINGLE,
    (dir) => Deno.truncateSync(join(dir, WEIGHTS), 700_000),
    weights(
      'tensor ".*": data_offsets is \\[.*\\], expected an end of at most 696816, .*',
      "The file is truncated: download it again\\.$",
    ),
  ),
  broken(
    "bytes behind the last tensor",
    SINGLE,
    (dir) => Deno.writeFileSync(join(dir, WEIGHTS), new Uint8Array(4), { append: true }),
    weights("size is 734068 bytes, expected 734064, where the last tensor ends"),
  ),
];
