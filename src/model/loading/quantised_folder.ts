/** Makes a model folder with quantised matrices, which loads without the original. */

import { join } from "node:path";
import { byteSize, toF32 } from "../../gpu/dtype.ts";
import { encodeRows } from "../../quant/encode.ts";
import { groupsOf, type QuantScheme, schemeText, storedRowBytes } from "../../quant/scheme.ts";
import { type Checkpoint, CheckpointError, openCheckpoint } from "../../weights/checkpoint.ts";
import { copiedTensor, type FolderContent, type TensorGroup } from "../../weights/folder_writer.ts";
import { type JsonObject, readJsonObject } from "../../weights/json_file.ts";
import type { TensorSlice } from "../../weights/safetensors.ts";
import {
  ConfigError,
  MAX_CONFIG,
  type ModelConfig,
  quantisationJson,
  readConfig,
  type StoredQuantisation,
} from "./config.ts";
import { scaleName } from "../model_config.ts";
import { checkTensors, expectedTensors, quantisedNames } from "./tensors.ts";

/** Bytes of weights that are encoded at once. */
const CHUNK_BYTES = 4 * 2 ** 20;

/** Files of weights and their indexes, in any format; they are not copied to the new folder. */
const WEIGHTS =
  /\.(safetensors|bin|pt|pth|ckpt|gguf|onnx|h5|msgpack)(\.index\.json|\.part|_data)?$/i;

/** Options of quantising a folder. */
export interface QuantisedFolderOptions extends StoredQuantisation {
  /** Limit of the tensors in one file, in bytes. */
  readonly shardBytes: number;
}

/**
 * The content of a folder's quantised form, to be planned and written; dispose of it afterwards.
 * Linear layers, and the head if wanted, become codes and scales. Other tensors are copied
 * unchanged, so the new folder gives the same logits as the original quantised at load. All plain
 * files without weights are copied too.
 * @throws {ConfigError} when the folder is quantised already, or has no head of its own to quantise
 * @throws {CheckpointError} naming the file or tensor that is wrong; while writing, also for a
 * weight that is not finite
 */
export function quantisedFolder(
  dir: string,
  { shardBytes, ...quantisation }: QuantisedFolderOptions,
): FolderContent & Disposable {
  const config = readConfig(dir);
  const file = join(dir, "config.json");
  checkQuantisable(file, config, quantisation);
  using opened = new DisposableStack();
  const checkpoint = opened.use(openCheckpoint(dir));
  checkTensors(config, checkpoint);
  const { scheme, head } = quantisation;
  const quantised = quantisedNames(config, head);
  const groups = expectedTensors(config).map(({ name, shape }) => {
    const slice = checkpoint.tensor(name, { shape });
    return quantised.has(name)
      ? encodedMatrix(checkpoint, slice, scheme)
      : copiedTensor(checkpoint, slice);
  });
  const json = readJsonObject(file, MAX_CONFIG, ConfigError);
  const closing = opened.move();
  return {
    config: { ...json, quantization_config: quantisationJson(quantisation) },
    groups,
    copies: filesBesideWeights(dir),
    shardBytes,
    settings: {
      made_by: "unmask quantize",
      to: scheme.name,
      group: scheme.group,
      head,
      shard_bytes: shardBytes,
      ...originals(dir, checkpoint),
    },
    [Symbol.dispose]: () => closing.dispose(),
  };
}

/** Paths of a folder's plain files but config.json and weights. */
export function filesBesideWeights(dir: string): string[] {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) =>
    !name.startsWith(".") && Deno.statSync(join(dir, name)).isFile
  ).sort();
  return names.filter((name) => name !== "config.json" && !WEIGHTS.test(name))
    .map((name) => join(dir, name));
}

function checkQuantisable(
  file: string,
  { quantisation: stored, tiedHead }: ModelConfig,
  { head }: StoredQuantisation,
): void {
  if (stored) {
    const found = schemeText(stored.scheme);
    const remedy = "Quantise the original folder, not a quantised one.";
    const field = "quantization_config";
    throw new ConfigError({ file, field, found, expected: "a folder of floats", remedy });
  }
  if (head && tiedHead) {
    throw new ConfigError({
      file,
      field: "weight_tying",
      found: "true",
      expected: "a head of its own, which could be quantised",
      remedy: "The head is the embedding, which is not quantised: leave the head out.",
    });
  }
}

/** Encodes a matrix into codes and scales, some rows at a time. */
function encodedMatrix(
  checkpoint: Checkpoint,
  slice: TensorSlice,
  scheme: QuantScheme,
): TensorGroup {
  const { file, name, dtype, shape: [rows, inner] } = slice;
  const scales = scaleName(name);
  return {
    tensors: [
      { name, dtype: scheme.dtype, shape: [rows, storedRowBytes(scheme, inner)] },
      { name: scales, dtype: "F16", shape: [rows, groupsOf(scheme, inner)] },
    ],
    async write(append) {
      const rowBytes = inner * byteSize(dtype);
      const buffer = new Uint8Array(rowBytes * Math.max(1, Math.floor(CHUNK_BYTES / rowBytes)));
      let row = 0;
      for (const piece of checkpoint.chunks(slice, buffer)) {
        const encoded = encodeFinite(scheme, toF32(piece, dtype as "BF16"), inner, row, file, name);
        await append(name, encoded.codes);
        await append(scales, new Uint8Array(encoded.scales.buffer));
        row += piece.length / rowBytes;
      }
    },
  };
}

function encodeFinite(
  scheme: QuantScheme,
  weights: Float32Array,
  inner: number,
  firstRow: number,
  file: string,
  tensor: string,
) {
  try {
    return encodeRows(scheme, weights, inner, firstRow);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const expected = "finite weights";
    throw new CheckpointError({ file, tensor, found: `damaged (${error.message})`, expected });
  }
}

/** Sizes and dates of the original's files: they show whether it is still the same original. */
export function originals(dir: string, { tensors }: Checkpoint): JsonObject {
  const files = new Set([...tensors.values()].map(({ file }) => file));
  return Object.fromEntries(
    [join(dir, "config.json"), ...[...files].sort()].map((file) => {
      const { size, mtime } = Deno.statSync(file);
      const name = file.slice(dir.length).replace(/^[/\\]/, "");
      return [`original ${name}`, `${size} bytes of ${mtime?.toISOString() ?? "no date"}`];
    }),
  );
}
