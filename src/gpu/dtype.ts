/**
 * Element types of tensors, by their safetensors names, and conversions between them.
 *
 * Bytes are little-endian in files and on every platform that Deno runs on, so typed arrays can
 * view them directly.
 */

/** Types that hold real numbers; weights may be stored in them. */
export const FLOAT_DTYPES = ["F32", "F16", "BF16"] as const;
/** One of {@linkcode FLOAT_DTYPES}. */
export type FloatDType = typeof FLOAT_DTYPES[number];

/** Every type that can be read and written. */
export const DTYPES = [
  ...FLOAT_DTYPES,
  "I64",
  "U64",
  "I32",
  "U32",
  "I16",
  "U16",
  "I8",
  "U8",
  "BOOL",
] as const;
/** Element type of a tensor, by its name in a safetensors header. */
export type DType = typeof DTYPES[number];

const BYTES: Readonly<Record<DType, number>> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  U64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Whether `name` is one of {@linkcode DTYPES}. */
export function isDType(name: unknown): name is DType {
  return typeof name === "string" && Object.hasOwn(BYTES, name);
}

/** Bytes of one element. */
export function byteSize(dtype: DType): number {
  return BYTES[dtype];
}

/**
 * Widens bfloat16 codes; exact, since bfloat16 is the upper half of an f32.
 * @returns a new array of the same length
 */
export function bf16ToF32(codes: Uint16Array): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(codes.length);
  for (let i = 0; i < codes.length; i++) bits[i] = codes[i] << 16;
  return new Float32Array(bits.buffer);
}

/**
 * Narrows to bfloat16 codes, to nearest with ties to even. NaN stays NaN, and magnitudes that round
 * beyond the largest bfloat16 become infinite.
 * @returns a new array of the same length
 */
export function f32ToBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const codes = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i];
    // Rounding would turn a NaN with its payload in the lower half into infinity.
    if ((word & 0x7fffffff) > 0x7f800000) codes[i] = (word >>> 16) | 0x40;
    else codes[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return codes;
}

/**
 * Widens IEEE half-precision codes; exact, subnormals included.
 * @returns a new array of the same length
 */
export function f16ToF32(codes: Uint16Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(new Float16Array(codes.buffer, codes.byteOffset, codes.length));
}

/**
 * Narrows to IEEE half-precision codes, to nearest with ties to even; magnitudes from 65520 on become
 * infinite.
 * @returns a new array of the same length
 */
export function f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  return new Uint16Array(Float16Array.from(values).buffer);
}

/**
 * The numbers in `bytes`, which may start at any address. Exact for the float types; integers beyond
 * 2^24 are rounded.
 * @returns a new array, one entry per element
 * @throws {RangeError} when the bytes are not a whole number of elements
 */
export function toF32(bytes: Uint8Array, dtype: DType): Float32Array<ArrayBuffer> {
  const size = byteSize(dtype);
  if (bytes.length % size !== 0) {
    throw new RangeError(
      `found ${bytes.length} bytes of ${dtype}, expected a multiple of ${size}. Pass whole elements.`,
    );
  }
  // Typed arrays must start at a multiple of their element size, so the bytes are copied.
  const { buffer, byteOffset } = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const length = bytes.length / size;
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer, byteOffset, length).slice();
    case "F16":
      return f16ToF32(new Uint16Array(buffer, byteOffset, length));
    case "BF16":
      return bf16ToF32(new Uint16Array(buffer, byteOffset, length));
    case "I64":
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, length), Number);
    case "U64":
      return Float32Array.from(new BigUint64Array(buffer, byteOffset, length), Number);
    case "I32":
      return Float32Array.from(new Int32Array(buffer, byteOffset, length));
    case "U32":
      return Float32Array.from(new Uint32Array(buffer, byteOffset, length));
    case "I16":
      return Float32Array.from(new Int16Array(buffer, byteOffset, length));
    case "U16":
      return Float32Array.from(new Uint16Array(buffer, byteOffset, length));
    case "I8":
      return Float32Array.from(new Int8Array(buffer, byteOffset, length));
    case "U8":
    case "BOOL":
      return Float32Array.from(new Uint8Array(buffer, byteOffset, length));
  }
}

/**
 * The bytes of `values` stored as `dtype`, rounded to nearest with ties to even.
 * @returns new bytes, `values.length` times {@linkcode byteSize}
 */
export function fromF32(values: Float32Array, dtype: FloatDType): Uint8Array<ArrayBuffer> {
  switch (dtype) {
    case "F32":
      return new Uint8Array(values.slice().buffer);
    case "F16":
      return new Uint8Array(f32ToF16(values).buffer);
    case "BF16":
      return new Uint8Array(f32ToBf16(values).buffer);
  }
}
