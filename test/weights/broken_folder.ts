/** Broken model folders, one mistake each, made from good ones. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One mistake. */
export interface Malformed {
  /** What is wrong, for the test's name. */
  readonly name: string;
  /** Writes the broken folder into `dir`, which exists and is empty. */
  build(dir: string): void;
  /** Matches the whole error message: file, tensor or field, found, expected, what to do. */
  readonly message: RegExp;
}

const GOLDEN = fileURLToPath(new URL("../golden/checkpoints/", import.meta.url));
/** One file of F32 weights, d_model 64, 4 heads. */
export const SINGLE = "mha-f32";
/** Two BF16 shards and an index. */
export const SHARDED = "llada-shape-bf16";

/** The one file of the first. */
export const WEIGHTS = "model.safetensors";
/** The first tensor in it. */
export const FIRST = "model.transformer.blocks.0.attn_norm.weight";

/** An entry of a safetensors header. */
export type Entry = { dtype: unknown; shape: unknown; data_offsets: unknown };
/** An object of a JSON file. */
export type Json = Record<string, unknown>;

/** Copies a golden checkpoint into `dir`; the copies can be written to. */
function copy(checkpoint: string, dir: string): void {
  for (const { name } of Deno.readDirSync(join(GOLDEN, checkpoint))) {
    Deno.writeFileSync(join(dir, name), Deno.readFileSync(join(GOLDEN, checkpoint, name)));
  }
}

/** Changes a JSON file in place. */
export function editJson(path: string, edit: (json: Json) => void): void {
  const json = JSON.parse(Deno.readTextFileSync(path));
  edit(json);
  Deno.writeTextFileSync(path, JSON.stringify(json));
}

/** Header text and tensor bytes of a safetensors file. */
export function split(path: string): { header: string; tensors: Uint8Array } {
  const bytes = Deno.readFileSync(path);
  const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  return {
    header: new TextDecoder().decode(bytes.subarray(8, start)),
    tensors: bytes.subarray(start),
  };
}

/** Writes header length and parts, whether they fit each other or not. */
export function writeRaw(path: string, length: bigint, ...parts: (string | Uint8Array)[]): void {
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, length, true);
  Deno.writeFileSync(path, prefix);
  for (const part of parts) {
    const bytes = typeof part === "string" ? new TextEncoder().encode(part) : part;
    Deno.writeFileSync(path, bytes, { append: true });
  }
}

/** A copy of a golden checkpoint with one edit. */
export function broken(
  name: string,
  checkpoint: string,
  edit: (dir: string) => void,
  message: RegExp,
): Malformed {
  return {
    name,
    build(dir) {
      copy(checkpoint, dir);
      edit(dir);
    },
    message,
  };
}

/** The advice where nothing else helps, and the end of the message. */
export const DOWNLOAD_AGAIN = "Download the file again\\.$";

/** The single file with another header text before the same tensors. */
export function headerText(
  name: string,
  edit: (header: string) => string | Uint8Array,
  message: RegExp,
) {
  return broken(name, SINGLE, (dir) => {
    const { header, tensors } = split(join(dir, WEIGHTS));
    const text = edit(header);
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    writeRaw(join(dir, WEIGHTS), BigInt(bytes.length), bytes, tensors);
  }, message);
}

/** The single file with its header's JSON changed. */
export function header(
  name: string,
  edit: (entries: Record<string, Entry>) => void,
  message: RegExp,
) {
  return headerText(name, (text) => {
    const json = JSON.parse(text);
    edit(json);
    return JSON.stringify(json);
  }, message);
}

/** A message about the one file of weights, then by default the advice. */
export const weights = (text: string, remedy = DOWNLOAD_AGAIN) =>
  new RegExp(String.raw`[/\\]model\.safetensors: ${text}\. ${remedy}`);

/** A tensor in a message. */
export const tensor = (name: string) => `tensor "${name.replaceAll(".", "\\.")}"`;
