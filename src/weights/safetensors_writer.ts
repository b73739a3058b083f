/** Writes safetensors files, from whole tensors or from pieces of several tensors in turn. */
import { byteSize, type DType } from "../gpu/dtype.ts";

/** A tensor's place in a header. */
export interface TensorLayout {
  /** Name in the file. */
  readonly name: string;
  /** Element type of the bytes. */
  readonly dtype: DType;
  /** Rows first; `[]` is a scalar. */
  readonly shape: readonly number[];
}

/** A tensor to write. */
export interface TensorSource extends TensorLayout {
  /** The elements, row-major, or a function that returns them when they are to be written. */
  readonly bytes: Uint8Array | (() => Uint8Array | Promise<Uint8Array>);
}

/** Bytes of a tensor. */
export function tensorBytes({ dtype, shape }: TensorLayout): number {
  return shape.reduce((product, size) => product * size, byteSize(dtype));
}

/**
 * The layout of a safetensors file. It begins with header length and header, padded so that the
 * tensors start at a multiple of 8. Tensors are ordered by type, widest first, then by name, so
 * that every tensor is aligned to its element and equal tensors give equal files.
 */
export class SafetensorsLayout {
  /** Bytes of header length and header. */
  readonly header: Uint8Array;
  /** Bytes of the whole file. */
  readonly byteLength: number;
  /** First byte in the file, and bytes, of each tensor; in the order of the file. */
  readonly places: ReadonlyMap<
    string,
    { readonly byteOffset: number; readonly byteLength: number; readonly tensor: TensorLayout }
  >;

  /**
   * @param metadata texts in the header; published loaders expect `format: "pt"`
   * @throws {RangeError} for a name used twice
   */
  constructor(
    tensors: readonly TensorLayout[],
    metadata: Readonly<Record<string, string>> = { format: "pt" },
  ) {
    const sorted = tensors.toSorted((a, b) =>
      byteSize(b.dtype) - byteSize(a.dtype) || (a.name < b.name ? -1 : 1)
    );
    // fromEntries, unlike assignment, makes an own property even of the name "__proto__".
    const entries: [string, unknown][] = [["__metadata__", metadata]];
    const names = new Set(["__metadata__"]);
    let end = 0;
    for (const tensor of sorted) {
      const { name, dtype, shape } = tensor;
      if (names.has(name)) {
        throw new RangeError(`tensor ${JSON.stringify(name)}: the name is taken. Use it once.`);
      }
      names.add(name);
      const begin = end;
      end += tensorBytes(tensor);
      entries.push([name, { dtype, shape, data_offsets: [begin, end] }]);
    }
    const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
    const length = Math.ceil(json.length / 8) * 8;
    this.header = new Uint8Array(8 + length).fill(0x20);
    new DataView(this.header.buffer).setBigUint64(0, BigInt(length), true);
    this.header.set(json, 8);
    this.byteLength = this.header.length + end;
    let byteOffset = this.header.length;
    this.places = new Map(sorted.map((tensor) => {
      const byteLength = tensorBytes(tensor);
      const place = { byteOffset, byteLength, tensor };
      byteOffset += byteLength;
      return [tensor.name, place];
    }));
  }
}

/**
 * Writes a file under another name until it is complete. Bytes of several tensors may be appended
 * in turn, each tensor from its beginning. If it is disposed of before {@linkcode finish}, the file
 * is removed.
 */
export class SafetensorsWriter implements Disposable {
  readonly #path: string;
  readonly #layout: SafetensorsLayout;
  readonly #file: Deno.FsFile;
  readonly #written = new Map<string, number>();
  #open = true;

  constructor(path: string, layout: SafetensorsLayout) {
    this.#path = path;
    this.#layout = layout;
    this.#file = Deno.openSync(this.#part, { write: true, create: true, truncate: true });
    writeAll(this.#file, layout.header);
  }

  /**
   * Writes the next bytes of a tensor.
   * @throws {RangeError} when the tensor has fewer bytes, or is not in the header
   */
  append(name: string, bytes: Uint8Array): void {
    const place = this.#layout.places.get(name);
    const written = this.#written.get(name) ?? 0;
    if (!place || written + bytes.length > place.byteLength) {
      throw place ? misfit(place.tensor, written + bytes.length) : new RangeError(
        `tensor ${JSON.stringify(name)} is not in the header of ${this.#path}.`,
      );
    }
    this.#file.seekSync(place.byteOffset + written, Deno.SeekMode.Start);
    writeAll(this.#file, bytes);
    this.#written.set(name, written + bytes.length);
  }

  /**
   * Gives the file its final name, replacing an existing file.
   * @throws {RangeError} for a tensor with missing bytes
   */
  async finish(): Promise<void> {
    for (const [name, { byteLength, tensor }] of this.#layout.places) {
      const written = this.#written.get(name) ?? 0;
      if (written !== byteLength) throw misfit(tensor, written);
    }
    // The final name guarantees that the file is complete, even after a power failure.
    await this.#file.sync();
    this.#file.close();
    this.#open = false;
    Deno.renameSync(this.#part, this.#path);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#file.close();
    Deno.removeSync(this.#part);
  }

  get #part(): string {
    return partOf(this.#path);
  }
}

/** Name of a file while it is being written. */
export function partOf(path: string): string {
  return `${path}.part`;
}

/**
 * Writes whole tensors, one in memory at a time. An existing file is replaced once the new one is
 * complete.
 * @param metadata as in {@linkcode SafetensorsLayout}
 * @throws {RangeError} for a name used twice, or bytes that do not fit dtype and shape
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const layout = new SafetensorsLayout(tensors, metadata);
  const sources = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  using writer = new SafetensorsWriter(path, layout);
  for (const name of layout.places.keys()) {
    const { bytes } = sources.get(name)!;
    writer.append(name, typeof bytes === "function" ? await bytes() : bytes);
  }
  await writer.finish();
}

function misfit(tensor: TensorLayout, found: number): RangeError {
  const { name, dtype, shape } = tensor;
  return new RangeError(
    `tensor ${JSON.stringify(name)}: found ${found} bytes, expected ${tensorBytes(tensor)} ` +
      `for shape [${shape.join(", ")}] of ${dtype}.`,
  );
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}
