/** Weights that harm: headers of safetensors files, and indexes of shards. */
import { join } from "node:path";
import {
  type Hostile,
  INDEX,
  type Json,
  replaced,
  TINY,
  WEIGHTS,
  write,
} from "./hostile_folder.ts";

/** A safetensors file: length of the header (default: as it is), header, tensors. */
function packed(header: string | Uint8Array, tensors = goodWeights().tensors, length?: bigint) {
  const bytes = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const whole = new Uint8Array(8 + bytes.length + tensors.length);
  new DataView(whole.buffer).setBigUint64(0, length ?? BigInt(bytes.length), true);
  whole.set(bytes, 8);
  whole.set(tensors, 8 + bytes.length);
  return whole;
}

function goodWeights(): { readonly header: Json; readonly tensors: Uint8Array } {
  const bytes = Deno.readFileSync(join(TINY, WEIGHTS));
  const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  return { header, tensors: bytes.subarray(start) };
}

function header(name: string, edit: (header: Json, first: string) => void, message: RegExp) {
  return replaced(WEIGHTS, `header: ${name}`, () => {
    const { header } = goodWeights();
    edit(header, Object.keys(header).find((key) => key !== "__metadata__")!);
    return packed(JSON.stringify(header));
  }, message);
}

const EMPTY = { dtype: "BF16", shape: [0], data_offsets: [0, 0] };

/** Headers. */
export const HEADERS: readonly Hostile[] = [
  ...[2n ** 63n, 2n ** 64n - 1n, 2n ** 32n, 4n * 2n ** 20n + 1n].map((length) =>
    replaced(
      WEIGHTS,
      `header length ${length}`,
      () => packed("{}", undefined, length),
      /header length is \d+, expected at most 4194304/,
    )
  ),
  replaced(
    WEIGHTS,
    "a header of 100 MB of blanks",
    () => packed(new Uint8Array(100_000_000).fill(32)),
    /header length is 100000000/,
  ),
  replaced(
    WEIGHTS,
    "a header of 4 MB of brackets",
    () => packed(`{"x":${"[".repeat(2_000_000)}${"]".repeat(2_000_000)}}`),
    /header's depth is above 64/,
  ),
  replaced(
    WEIGHTS,
    "a header of 4 MB of lists",
    () => packed(`{"x":[${"[],".repeat(1_300_000)}0]}`),
    /header's number of values is above 1000000/,
  ),
  replaced(
    WEIGHTS,
    "a header of 50,000 tensors beside the model's",
    () =>
      packed(JSON.stringify({
        ...goodWeights().header,
        ...Object.fromEntries(
          Array.from({ length: 60_000 }, (_, i) => [`tensor.number.${i}`, EMPTY]),
        ),
      })),
    /header length is \d+, expected at most 4194304/,
  ),
  replaced(WEIGHTS, "header not JSON", () => packed("{".repeat(60)), /header is not JSON/),
  replaced(WEIGHTS, "no file", () => new Uint8Array(), /size is 0 bytes, expected 8 or more/),
  replaced(WEIGHTS, "7 bytes", () => new Uint8Array(7), /size is 7 bytes/),
  replaced(
    WEIGHTS,
    "cut in the middle",
    () => packed(JSON.stringify(goodWeights().header), goodWeights().tensors.subarray(1000)),
    /truncated: download it again/,
  ),
  replaced(
    WEIGHTS,
    "weights that are no numbers",
    () => packed(JSON.stringify(goodWeights().header), goodWeights().tensors.map(() => 0xff)),
    /not finite in every weight/,
  ),
  replaced(
    WEIGHTS,
    "a key twice",
    () => {
      const text = JSON.stringify(goodWeights().header);
      return packed(`${text.slice(0, -1)},${text.slice(1)}`);
    },
    /holds the key .* twice/,
  ),
  header("overlap", (h, a) => h[a].data_offsets = [0, 2], /expected \d+ bytes for shape/),
  header("beyond the end", (h, a) => {
    h[a].data_offsets = h[a].data_offsets.map((at: number) => at + 2 ** 40);
  }, /expected an end of at most/),
  header("reversed", (h, a) => h[a].data_offsets.reverse(), /begin <= end/),
  header(
    "a shape that overflows",
    (h, a) => h[a].shape = [2 ** 32, 2 ** 32],
    /expected 3.*e\+|expected 3\d{19}/,
  ),
  header("a negative shape", (h, a) => h[a].shape = [-1, 128], /integers from 0/),
  header("a broken shape", (h, a) => h[a].shape = [0.5, 128], /integers from 0/),
  header("a shape that is text", (h, a) => h[a].shape = "2048", /integers from 0/),
  header("a shape of 1e400", (h, a) => h[a].shape = [1e308 * 10], /integers from 0|null/),
  header("an unknown type", (h, a) => h[a].dtype = "F4", /dtype is "F4"/),
  header("a prototype as a type", (h, a) => h[a].dtype = "__proto__", /dtype is "__proto__"/),
  header("a tensor that is a list", (h, a) => h[a] = [[[]]], /expected an object with dtype/),
  header("a tensor that is null", (h, a) => h[a] = null, /expected an object with dtype/),
  header("metadata of numbers", (h) => h.__metadata__ = { a: 1 }, /__metadata__ is 1/),
  header("a gap", (h) => {
    for (const entry of Object.values<Json>(h)) {
      entry.data_offsets = entry.data_offsets?.map((at: number) => at + 2);
    }
  }, /expected/),
];

function sharded(name: string, shard: string, message: RegExp): Hostile {
  return {
    name: `index: ${name}`,
    message,
    build(dir) {
      Deno.removeSync(join(dir, WEIGHTS));
      const names = Object.keys(goodWeights().header).filter((key) => key !== "__metadata__");
      const weight_map = Object.fromEntries(names.map((key) => [key, shard]));
      write(dir, INDEX, JSON.stringify({ metadata: {}, weight_map }));
    },
  };
}

const PLAIN_NAME = /expected the plain name of a \.safetensors file/;

/** Indexes. */
export const INDEXES: readonly Hostile[] = [
  sharded("a shard above the folder", "../ok/model.safetensors", PLAIN_NAME),
  sharded("a shard anywhere", "/etc/x.safetensors", PLAIN_NAME),
  sharded("a shard below the folder", "a/b.safetensors", PLAIN_NAME),
  sharded("a name with a zero byte", "a\u0000.safetensors", PLAIN_NAME),
  sharded("a shard of another kind", "passwd", PLAIN_NAME),
  sharded("a shard that is missing", "a.safetensors", /a\.safetensors: file is missing/),
  ...[
    [
      "brackets",
      `{"weight_map":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`,
      /depth is above/,
    ],
    ["too large", " ".repeat(2 ** 22 + 1), /size is 4194305 bytes/],
    ["a list", "[]", /expected a JSON object/],
  ].map(([name, text, message]): Hostile => ({
    name: `index: ${name}`,
    message: message as RegExp,
    build(dir) {
      Deno.removeSync(join(dir, WEIGHTS));
      write(dir, INDEX, text as string);
    },
  })),
];
