/**
 * The weights of a model folder as one map, from one file or several shards. Names, shapes and
 * places are read and checked when it is opened; bytes are read when they are needed.
 */
import { join } from "node:path";
import { type DType, FLOAT_DTYPES } from "../gpu/dtype.ts";
import { isJsonObject, isThere, readJsonObject } from "./json_file.ts";
import { CheckpointError, show } from "./model_file_error.ts";
import { SafetensorsFile, type TensorSlice } from "./safetensors.ts";

export { CheckpointError } from "./model_file_error.ts";

/** Name of a single file of weights; it is preferred to an index. */
export const SINGLE_FILE = "model.safetensors";
/** Name of the list of shards. */
export const INDEX_FILE = "model.safetensors.index.json";
const MAX_INDEX = 4 * 2 ** 20;

/** The expected shape and types of a tensor. */
export interface TensorExpectation {
  /** Shape, rows first. */
  readonly shape: readonly number[];
  /** Types that it may be stored in; default: the float types. */
  readonly dtypes?: readonly DType[];
}

/**
 * A file of tensors: a {@linkcode SafetensorsFile}, or one whose bytes are made when they are read.
 */
export interface TensorFile extends Disposable {
  /** Path, or a text for errors if there is no file. */
  readonly file: string;
  /** Every tensor by name; each names this file. */
  readonly tensors: ReadonlyMap<string, TensorSlice>;
  /** Fills `target` with the slice's bytes from its byte `offset` on. */
  readInto(slice: TensorSlice, target: Uint8Array, offset?: number): void;
  /** Like `readInto`, but on another thread if there is a file, which must stay open until then. */
  loadInto(slice: TensorSlice, target: Uint8Array, offset?: number): Promise<void>;
}

/** An open model folder. Close it with `using` or `[Symbol.dispose]()`. */
export class Checkpoint implements Disposable {
  /** Path of the one file or of the index. */
  readonly file: string;
  /** Every tensor by name. */
  readonly tensors: ReadonlyMap<string, TensorSlice>;
  /** Bytes of all tensors. */
  readonly byteLength: number;
  /** `metadata.total_size` of the index, whatever it holds; undefined where there is none. */
  readonly totalSize: unknown;
  readonly #files: ReadonlyMap<string, TensorFile>;

  /**
   * Made by {@linkcode openCheckpoint}, which checks that the files belong together.
   * @param file path of the one file or of the index
   * @param files the open files that hold the tensors; the checkpoint closes them
   */
  constructor(file: string, files: readonly TensorFile[], totalSize?: unknown) {
    this.file = file;
    this.totalSize = totalSize;
    this.#files = new Map(files.map((open) => [open.file, open]));
    this.tensors = new Map(files.flatMap((open) => [...open.tensors]));
    this.byteLength = 0;
    for (const { byteLength } of this.tensors.values()) this.byteLength += byteLength;
  }

  /**
   * Finds a tensor.
   * @throws {CheckpointError} when it is missing, or has another shape or type than expected
   */
  tensor(name: string, { shape, dtypes = FLOAT_DTYPES }: TensorExpectation): TensorSlice {
    const slice = this.tensors.get(name);
    const expected = show(shape);
    if (!slice) {
      const { file } = this;
      throw new CheckpointError({
        file,
        tensor: name,
        found: "missing",
        expected: `shape ${expected}`,
      });
    }
    const { file, dtype } = slice;
    if (slice.shape.length !== shape.length || slice.shape.some((size, i) => size !== shape[i])) {
      throw new CheckpointError({
        file,
        tensor: name,
        field: "shape",
        found: show(slice.shape),
        expected: `${expected}, as config.json says`,
        remedy: "Weights and config.json are not of the same model: download the folder again.",
      });
    }
    if (!dtypes.includes(dtype)) {
      throw new CheckpointError({
        file,
        tensor: name,
        field: "dtype",
        found: show(dtype),
        expected: `one of ${dtypes.join(", ")}`,
        remedy: "Convert the checkpoint to one of these types.",
      });
    }
    return slice;
  }

  /**
   * Fills `target` with the slice's bytes from its byte `offset` on.
   * @throws {RangeError} when that is beyond the slice's end, or the slice is of another checkpoint
   * @throws {CheckpointError} when the file has become shorter than its header says
   */
  readInto(slice: TensorSlice, target: Uint8Array, offset = 0): void {
    this.#fileOf(slice).readInto(slice, target, offset);
  }

  /**
   * Like {@linkcode readInto}, but on another thread. Until it resolves, the checkpoint must stay
   * open and `target` must not be used.
   */
  async loadInto(slice: TensorSlice, target: Uint8Array, offset = 0): Promise<void> {
    await this.#fileOf(slice).loadInto(slice, target, offset);
  }

  #fileOf({ name, file: path }: TensorSlice): TensorFile {
    const file = this.#files.get(path);
    if (!file) throw new RangeError(`${show(name)} is not a tensor of ${this.file}`);
    return file;
  }

  /**
   * Reads a slice piece by piece through one buffer, so that host memory stays bounded.
   * @param buffer reused for every piece; a multiple of 8 bytes keeps elements whole
   * @returns the pieces in order, each a part of `buffer` that the next one overwrites
   * @throws {CheckpointError} as {@linkcode readInto}
   */
  *chunks(
    slice: TensorSlice,
    buffer: Uint8Array<ArrayBuffer>,
  ): Generator<Uint8Array<ArrayBuffer>, void> {
    if (buffer.length === 0) throw new RangeError("the buffer has 0 bytes, expected 1 or more");
    for (let offset = 0; offset < slice.byteLength; offset += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, slice.byteLength - offset));
      this.readInto(slice, piece, offset);
      yield piece;
    }
  }

  /**
   * Reads all bytes of a slice at once, for small tensors.
   * @throws {CheckpointError} as {@linkcode readInto}
   */
  read(slice: TensorSlice): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(slice.byteLength);
    this.readInto(slice, bytes);
    return bytes;
  }

  /** Closes every file. */
  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file[Symbol.dispose]();
  }
}

/**
 * Opens the weights of a model folder and checks all headers; no tensor is read.
 * @throws {CheckpointError} when the weights are missing or anything in them is wrong; nothing
 * stays open
 */
export function openCheckpoint(dir: string): Checkpoint {
  const single = join(dir, SINGLE_FILE);
  const index = join(dir, INDEX_FILE);
  using opened = new DisposableStack();
  let checkpoint: Checkpoint;
  if (isThere(single)) {
    checkpoint = new Checkpoint(single, [opened.use(new SafetensorsFile(single))]);
  } else if (isThere(index)) {
    const { shards, totalSize } = readIndex(index);
    const files = [...new Set(shards.values())]
      .map((shard) => opened.use(openShard(index, join(dir, shard))));
    checkShards(index, shards, files, dir);
    checkpoint = new Checkpoint(index, files, totalSize);
  } else {
    throw new CheckpointError({
      file: dir,
      field: "weight file",
      found: "missing",
      expected: `${SINGLE_FILE} or ${INDEX_FILE}`,
      remedy: "Give a model folder in Hugging Face layout.",
    });
  }
  opened.move(); // now the checkpoint closes them
  return checkpoint;
}

/** Reads an index: tensor name -> shard file name. */
function readIndex(file: string): { shards: Map<string, string>; totalSize: unknown } {
  const json = readJsonObject(file, MAX_INDEX, CheckpointError);
  const { weight_map: map } = json;
  const metadata = json.metadata ?? {};
  if (!isJsonObject(map)) {
    const found = map === undefined ? "missing" : show(map);
    const expected = "an object from tensor names to file names";
    throw new CheckpointError({ file, field: "weight_map", found, expected });
  }
  if (!isJsonObject(metadata)) {
    const expected = "an object";
    throw new CheckpointError({ file, field: "metadata", found: show(metadata), expected });
  }
  const shards = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    // Only plain names are allowed, since a path could name any file of this machine.
    if (typeof shard !== "string" || !/^[^/\\:\p{Cc}]{1,240}\.safetensors$/u.test(shard)) {
      throw new CheckpointError({
        file,
        tensor,
        field: "weight_map",
        found: show(shard),
        expected: "the plain name of a .safetensors file in the same folder",
      });
    }
    shards.set(tensor, shard);
  }
  return { shards, totalSize: metadata["total_size"] };
}

function openShard(index: string, shard: string): SafetensorsFile {
  if (!isThere(shard)) {
    const expected = `a file, because ${index} names it`;
    throw new CheckpointError({ file: shard, field: "file", found: "missing", expected });
  }
  return new SafetensorsFile(shard);
}

/** Checks that index and shards list the same tensors. */
function checkShards(
  index: string,
  shards: ReadonlyMap<string, string>,
  files: readonly SafetensorsFile[],
  dir: string,
): void {
  const byPath = new Map(files.map((open) => [open.file, open]));
  for (const [tensor, shard] of shards) {
    const file = join(dir, shard);
    if (byPath.get(file)!.tensors.has(tensor)) continue;
    const expected = `in this file, because ${index} says so`;
    throw new CheckpointError({ file, tensor, found: "missing", expected });
  }
  for (const { file, tensors } of files) {
    for (const tensor of tensors.keys()) {
      const shard = shards.get(tensor);
      if (shard !== undefined && join(dir, shard) === file) continue;
      const expected = shard === undefined
        ? `absent, because ${index} does not list it`
        : `only in ${shard}, because ${index} says so`;
      throw new CheckpointError({ file, tensor, found: "present", expected });
    }
  }
}
