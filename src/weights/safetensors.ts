/**
 * Reads one safetensors file: its header, which is fully checked, and slices of its tensors.
 *
 * Layout: header length N (u64, little-endian), N bytes of JSON
 * `{name: {dtype, shape, data_offsets: [begin, end]}}`, then the tensors' bytes, row-major, without
 * gaps or overlaps. Offsets are counted from the start of the tensors' bytes. Source:
 * https://huggingface.co/docs/safetensors, "Format".
 */
import { closeSync, openSync, read, readSync } from "node:fs";
import { promisify } from "node:util";
import { byteSize, type DType, DTYPES, isDType } from "../gpu/dtype.ts";
import { fileSize, isJsonObject, type JsonObject, parseJsonObject } from "./json_file.ts";
import { CheckpointError, type Finding, show } from "./model_file_error.ts";

export { CheckpointError } from "./model_file_error.ts";

/**
 * Limit of the header in bytes: some 30,000 tensors, of which LLaDA-8B has 291. The reference
 * implementation takes 100 MB, which become gigabytes once they are parsed.
 */
const MAX_HEADER = 4 * 2 ** 20;

/** The place of a tensor in a file; its bytes are only read when they are needed. */
export interface TensorSlice {
  /** Name in the file. */
  readonly name: string;
  /** Element type as stored. */
  readonly dtype: DType;
  /** Rows first; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** Path of the file that holds it. */
  readonly file: string;
  /** First byte, counted from the start of the file. */
  readonly byteOffset: number;
  /** Bytes of all elements. */
  readonly byteLength: number;
}

/** A file whose bytes can be read at any position. */
export interface ByteSource {
  /** Path, for error messages. */
  readonly file: string;
  /** Bytes in the file. */
  readonly size: number;
  /** Reads into `target` from `position` on. @returns number of bytes read, 0 at the end */
  read(target: Uint8Array, position: number): number;
}

/** The content of a header. */
export interface SafetensorsHeader {
  /** Every tensor by name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorSlice>;
  /** The entries of `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads and checks a header.
 * @throws {CheckpointError} naming the field or tensor that violates the format
 */
export function readHeader(source: ByteSource): SafetensorsHeader {
  const { file, size } = source;
  if (size < 8) {
    throw new CheckpointError({
      file,
      field: "size",
      found: `${size} bytes`,
      expected: "8 or more",
    });
  }
  const prefix = readExactly(source, new Uint8Array(8), 0, { file });
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  const limit = Math.min(MAX_HEADER, size - 8);
  if (length > limit) {
    const pointer = new TextDecoder().decode(prefix) === "version ";
    throw new CheckpointError({
      file,
      field: "header length",
      found: pointer ? "the text of a Git LFS pointer" : `${length}`,
      expected: `at most ${limit} bytes`,
      remedy: pointer ? "Fetch the file itself with `git lfs pull`." : undefined,
    });
  }
  const bytes = readExactly(source, new Uint8Array(length), 8, { file });
  const json = parseJsonObject(bytes, file, "header", CheckpointError);

  const start = 8 + length;
  const slices = Object.entries(json)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => checkEntry(source, start, name, entry))
    .sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  checkTiling(source, start, slices);
  return {
    tensors: new Map(slices.map((slice) => [slice.name, slice])),
    metadata: checkMetadata(file, json["__metadata__"]),
  };
}

function checkMetadata(file: string, value: unknown): Map<string, string> {
  if (value === undefined) return new Map();
  const expected = "an object of strings";
  if (!isJsonObject(value)) {
    throw new CheckpointError({ file, field: "__metadata__", found: show(value), expected });
  }
  return new Map(
    Object.entries(value).map(([key, text]) => {
      if (typeof text === "string") return [key, text];
      const found = `${show(text)} for ${show(key)}`;
      throw new CheckpointError({ file, field: "__metadata__", found, expected });
    }),
  );
}

function checkEntry(
  { file, size }: ByteSource,
  start: number,
  name: string,
  entry: unknown,
): TensorSlice {
  const bad = (finding: Omit<Finding, "file">) =>
    new CheckpointError({ file, tensor: name, ...finding });
  if (!isJsonObject(entry)) {
    throw bad({ found: show(entry), expected: "an object with dtype, shape and data_offsets" });
  }
  const { dtype, shape, data_offsets: offsets }: JsonObject = entry;
  if (!isDType(dtype)) {
    const found = dtype === undefined ? "missing" : show(dtype);
    const remedy = "Convert the checkpoint to one of these types.";
    throw bad({ field: "dtype", found, expected: `one of ${DTYPES.join(", ")}`, remedy });
  }
  if (!isSizes(shape)) {
    const expected = "an array of integers from 0 to 2^53 - 1";
    throw bad({ field: "shape", found: show(shape), expected });
  }
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    const expected = "two integers [begin, end], begin <= end";
    throw bad({ field: "data_offsets", found: show(offsets), expected });
  }
  const [begin, end] = offsets;
  const bytes = tensorBytes(dtype, shape);
  if (end - begin !== bytes) {
    throw bad({
      field: "data_offsets",
      found: `${show(offsets)} (${end - begin} bytes)`,
      expected: `${bytes} bytes for shape ${show(shape)} of ${dtype}`,
    });
  }
  if (end > size - start) {
    throw bad({
      field: "data_offsets",
      found: show(offsets),
      expected: `an end of at most ${size - start}, the bytes behind the header`,
      remedy: "The file is truncated: download it again.",
    });
  }
  return { name, dtype, shape, file, byteOffset: start + begin, byteLength: bytes };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** Bytes of a tensor; not exact above 2^53, but no file can be that long. */
function tensorBytes(dtype: DType, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, byteSize(dtype));
}

/** Checks that the tensors cover all bytes after the header exactly once. */
function checkTiling({ file, size }: ByteSource, start: number, slices: TensorSlice[]): void {
  let covered = start;
  for (const { name, byteOffset, byteLength } of slices) {
    if (byteOffset !== covered) {
      throw new CheckpointError({
        file,
        tensor: name,
        field: "data_offsets",
        found: `[${byteOffset - start}, ${byteOffset - start + byteLength}]`,
        expected: `a begin of ${covered - start}, where the tensor before it ends: ` +
          (byteOffset < covered ? "the two overlap" : "nothing may lie between them"),
      });
    }
    covered += byteLength;
  }
  if (covered !== size) {
    const expected = `${covered}, where the last tensor ends`;
    throw new CheckpointError({ file, field: "size", found: `${size} bytes`, expected });
  }
}

/** Fills `target`. @throws {CheckpointError} when the file is truncated */
function readExactly<T extends Uint8Array>(
  source: ByteSource,
  target: T,
  position: number,
  where: { readonly file: string; readonly tensor?: string },
): T {
  for (let done = 0; done < target.length;) {
    const count = source.read(target.subarray(done), position + done);
    if (count === 0) throw truncated(where, position, done, target.length);
    done += count;
  }
  return target;
}

function truncated(
  where: { readonly file: string; readonly tensor?: string },
  position: number,
  done: number,
  length: number,
): CheckpointError {
  return new CheckpointError({
    ...where,
    field: "size",
    found: `truncated at byte ${position + done}`,
    expected: `bytes up to ${position + length}`,
  });
}

/** Reads at an explicit position, so that several reads of one file can run at once. */
const readLater = promisify(read);

/** An open safetensors file. Close it with `using` or `[Symbol.dispose]()`. */
export class SafetensorsFile implements ByteSource, SafetensorsHeader, Disposable {
  readonly file: string;
  readonly size: number;
  readonly tensors: ReadonlyMap<string, TensorSlice>;
  readonly metadata: ReadonlyMap<string, string>;
  // Not a `Deno.FsFile`, because all reads of one share its position.
  readonly #descriptor: number;

  /**
   * Opens a file and checks its header; no tensor is read.
   * @throws {CheckpointError} when it is missing or its header is not valid; nothing stays open
   */
  constructor(file: string) {
    this.file = file;
    this.size = fileSize(file, CheckpointError);
    this.#descriptor = openSync(file, "r");
    try {
      ({ tensors: this.tensors, metadata: this.metadata } = readHeader(this));
    } catch (error) {
      closeSync(this.#descriptor);
      throw error;
    }
  }

  /** Reads into `target` from `position` on; returns how many bytes, 0 at the end of the file. */
  read(target: Uint8Array, position: number): number {
    return readSync(this.#descriptor, target, 0, target.length, position);
  }

  /**
   * Fills `target` with the slice's bytes from its byte `offset` on.
   * @throws {RangeError} when that is beyond the slice's end
   * @throws {CheckpointError} when the file has become shorter than its header says
   */
  readInto(slice: TensorSlice, target: Uint8Array, offset = 0): void {
    checkRange(slice, target, offset);
    const { file, name: tensor, byteOffset } = slice;
    readExactly(this, target, byteOffset + offset, { file, tensor });
  }

  /**
   * Like {@linkcode readInto}, but on another thread. Until it resolves, the file must stay open
   * and `target` must not be used.
   * @throws {RangeError} when that is beyond the slice's end
   * @throws {CheckpointError} when the file has become shorter than its header says
   */
  async loadInto(slice: TensorSlice, target: Uint8Array, offset = 0): Promise<void> {
    checkRange(slice, target, offset);
    const { file, name: tensor } = slice;
    const position = slice.byteOffset + offset;
    for (let done = 0; done < target.length;) {
      const { bytesRead } = await readLater(
        this.#descriptor,
        target,
        done,
        target.length - done,
        position + done,
      );
      if (bytesRead === 0) throw truncated({ file, tensor }, position, done, target.length);
      done += bytesRead;
    }
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}

function checkRange({ name, byteLength }: TensorSlice, target: Uint8Array, offset: number): void {
  if (offset >= 0 && offset + target.length <= byteLength) return;
  const range = `[${offset}, ${offset + target.length})`;
  throw new RangeError(`bytes ${range} asked of ${show(name)}, which has ${byteLength}`);
}
