/**
 * Writes llama.cpp's file format: metadata, names and places of tensors, then the tensors. No
 * library writes it; @huggingface/gguf only edits existing files.
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */

/** Element types of tensors: f32, and groups of 32 weights with an f16 scale. */
export const GGML_TYPES = { F32: 0, Q4_0: 2, Q8_0: 8 } as const;
/** Alignment of tensors in the data after the header, in bytes. */
export const GGUF_ALIGNMENT = 32;

/** Value of a key: text, a number of some type, or an array of one type. */
export type GgufValue =
  | string
  | { readonly f32: number }
  | { readonly u32: number }
  | readonly string[]
  | Float32Array
  | Int32Array;

/** A tensor's entry in the header. */
export interface GgufTensor {
  readonly name: string;
  /** Dimensions, the fastest changing first: `[inner, columns]`. */
  readonly dims: readonly number[];
  readonly type: number;
  /** Offset in the data after the header, a multiple of {@linkcode GGUF_ALIGNMENT}. */
  readonly offset: number;
}

const VERSION = 3;
const VALUE_TYPES = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 } as const;

/** Makes everything before the data, padded to {@linkcode GGUF_ALIGNMENT}. */
export function ggufHeader(
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensor[],
): Uint8Array<ArrayBuffer> {
  const bytes = new LittleEndian();
  bytes.raw(new TextEncoder().encode("GGUF"));
  bytes.u32(VERSION);
  bytes.u64(tensors.length);
  const entries = Object.entries(metadata);
  bytes.u64(entries.length);
  for (const [key, value] of entries) {
    bytes.string(key);
    bytes.value(value);
  }
  for (const { name, dims, type, offset } of tensors) {
    bytes.string(name);
    bytes.u32(dims.length);
    for (const dim of dims) bytes.u64(dim);
    bytes.u32(type);
    bytes.u64(offset);
  }
  return bytes.padded(GGUF_ALIGNMENT);
}

class LittleEndian {
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];

  raw(bytes: Uint8Array<ArrayBuffer>): void {
    this.#parts.push(bytes);
  }

  u32(value: number): void {
    this.#number(4, (view) => view.setUint32(0, value, true));
  }

  u64(value: number): void {
    this.#number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }

  f32(value: number): void {
    this.#number(4, (view) => view.setFloat32(0, value, true));
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.raw(bytes);
  }

  /** Writes a value's type, then the value. */
  value(value: GgufValue): void {
    if (typeof value === "string") {
      this.u32(VALUE_TYPES.string);
      this.string(value);
    } else if ("f32" in value) {
      this.u32(VALUE_TYPES.f32);
      this.f32(value.f32);
    } else if ("u32" in value) {
      this.u32(VALUE_TYPES.u32);
      this.u32(value.u32);
    } else {
      this.u32(VALUE_TYPES.array);
      this.#array(value);
    }
  }

  #array(values: readonly string[] | Float32Array | Int32Array): void {
    const type = values instanceof Float32Array
      ? "f32"
      : values instanceof Int32Array
      ? "i32"
      : "string";
    this.u32(VALUE_TYPES[type]);
    this.u64(values.length);
    for (const value of values) {
      if (typeof value === "string") this.string(value);
      else if (type === "f32") this.f32(value);
      else this.u32(value);
    }
  }

  padded(alignment: number): Uint8Array<ArrayBuffer> {
    const length = this.#parts.reduce((sum, part) => sum + part.length, 0);
    const all = new Uint8Array(Math.ceil(length / alignment) * alignment);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  #number(bytes: number, write: (view: DataView) => void): void {
    const view = new DataView(new ArrayBuffer(bytes));
    write(view);
    this.raw(new Uint8Array(view.buffer));
  }
}
