/** Writes safetensors files, one tensor in memory at a time. */
import { byteSize, type DType } from "../gpu/dtype.ts";

/** A tensor to write. */
export interface TensorSource {
  /** Name in the file. */
  readonly name: string;
  /** Element type of the bytes. */
  readonly dtype: DType;
  /** Rows first; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** The elements, row-major, or how to get them when their turn comes. */
  readonly bytes: Uint8Array | (() => Uint8Array | Promise<Uint8Array>);
}

/**
 * Writes a safetensors file: wider types first, then by name, so that every tensor is aligned to its
 * element and equal tensors give equal files. An existing file is replaced once the new one is whole.
 * @param metadata text kept in the header; `format: "pt"` is what published loaders look for
 * @throws {RangeError} for a name used twice, or bytes that do not fit dtype and shape
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  const sorted = tensors.toSorted((a, b) =>
    byteSize(b.dtype) - byteSize(a.dtype) || (a.name < b.name ? -1 : 1)
  );
  const header = encodeHeader(sorted, metadata);
  const part = `${path}.part`;
  const file = Deno.openSync(part, { write: true, create: true, truncate: true });
  try {
    writeAll(file, header);
    for (const tensor of sorted) {
      const bytes = typeof tensor.bytes === "function" ? await tensor.bytes() : tensor.bytes;
      if (bytes.length !== tensorBytes(tensor)) {
        throw new RangeError(
          `tensor ${JSON.stringify(tensor.name)}: found ${bytes.length} bytes, expected ` +
            `${tensorBytes(tensor)} for shape [${tensor.shape.join(", ")}] of ${tensor.dtype}.`,
        );
      }
      writeAll(file, bytes);
    }
  } catch (error) {
    file.close();
    Deno.removeSync(part);
    throw error;
  }
  file.close();
  Deno.renameSync(part, path);
}

function tensorBytes({ dtype, shape }: TensorSource): number {
  return shape.reduce((product, size) => product * size, byteSize(dtype));
}

/** Header length and header, padded with spaces so that the tensors start at a multiple of 8. */
function encodeHeader(
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  // fromEntries, unlike assignment, makes an own property even of the name "__proto__".
  const entries: [string, unknown][] = [["__metadata__", metadata]];
  const names = new Set(["__metadata__"]);
  let begin = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    if (names.has(name)) {
      throw new RangeError(`tensor ${JSON.stringify(name)}: the name is taken. Use it once.`);
    }
    names.add(name);
    const end = begin + tensorBytes(tensor);
    entries.push([name, { dtype, shape, data_offsets: [begin, end] }]);
    begin = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return header;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}
