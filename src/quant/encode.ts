/** Converts rows of weights to codes and scales as files hold them, and back. */

import { codeOf, scaleBits, scaleOf } from "./group.ts";
import { groupsOf, type QuantisedName, type QuantScheme, storedRowBytes } from "./scheme.ts";

/** Codes and scales of some rows. */
export interface EncodedRows {
  /** `[rows, storedRowBytes]` */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** `[rows, groups]`, f16 bits */
  readonly scales: Uint16Array<ArrayBuffer>;
}

/** How a scheme's codes lie in the bytes of a row. */
interface Packing {
  /** Writes the codes of weights `[first, end)`, which share a scale, from byte `at` on. */
  write(
    weights: Float32Array,
    first: number,
    end: number,
    codes: Uint8Array,
    at: number,
    bits: number,
  ): void;
  /** The code of weight `k` of the row that begins at byte `row`. */
  read(codes: Uint8Array, row: number, k: number): number;
}

const PACKINGS: Readonly<Record<QuantisedName, Packing>> = {
  q8: { write: writeBytes, read: (codes, row, k) => codes[row + k] << 24 >> 24 },
  // The lower half of a byte first.
  q4: {
    write: writeHalves,
    read: (codes, row, k) => codes[row + (k >> 1)] << (28 - 4 * (k & 1)) >> 28,
  },
};

function packingOf({ name }: QuantScheme): Packing {
  return PACKINGS[name as QuantisedName];
}

/** The largest code of a scheme: 127 or 7. The codes are symmetric about 0. */
export function mostCode({ bits }: QuantScheme): number {
  return 2 ** (bits - 1) - 1;
}

/**
 * Quantises every group of every row symmetrically to the nearest code.
 * @param weights `[rows, inner]`, finite
 * @param firstRow number of the first row in errors
 * @throws {RangeError} for a weight that is not finite, naming its row and column
 */
export function encodeRows(
  scheme: QuantScheme,
  weights: Float32Array,
  inner: number,
  firstRow = 0,
): EncodedRows {
  const rows = weights.length / inner;
  const group = scheme.group!;
  const groups = groupsOf(scheme, inner);
  const rowBytes = storedRowBytes(scheme, inner);
  const codes = new Uint8Array(rows * rowBytes);
  const scales = new Uint16Array(rows * groups);
  const most = mostCode(scheme);
  const { write } = packingOf(scheme);
  for (let row = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++) {
      const first = row * inner + g * group;
      const end = row * inner + Math.min(inner, (g + 1) * group);
      const magnitude = magnitudeOf(weights, first, end);
      if (magnitude === Infinity) throw notFinite(weights, inner, first, firstRow);
      const bits = scaleBits(magnitude, most);
      scales[row * groups + g] = bits;
      write(weights, first, end, codes, row * rowBytes + g * group * scheme.bits / 8, bits);
    }
  }
  return { codes, scales };
}

/** The largest magnitude of some weights; Infinity if a weight is not finite. */
function magnitudeOf(weights: Float32Array, first: number, end: number): number {
  let magnitude = 0;
  for (let i = first; i < end; i++) {
    const weight = Math.abs(weights[i]);
    // This comparison is also false for NaN.
    if (!(weight <= magnitude)) magnitude = weight < Infinity ? weight : Infinity;
  }
  return magnitude;
}

/** Writes codes of 8 bits from byte `at` on. */
function writeBytes(
  weights: Float32Array,
  first: number,
  end: number,
  codes: Uint8Array,
  at: number,
  bits: number,
): void {
  const scale = scaleOf(bits);
  const inverse = 1 / scale;
  for (let i = first; i < end; i++) codes[at++] = codeOf(weights[i], scale, inverse, 127) & 255;
}

/**
 * Writes codes of 4 bits from byte `at` on, two per byte; after an odd last one the upper half is
 * 0.
 */
function writeHalves(
  weights: Float32Array,
  first: number,
  end: number,
  codes: Uint8Array,
  at: number,
  bits: number,
): void {
  const scale = scaleOf(bits);
  const inverse = 1 / scale;
  for (let i = first; i < end; i += 2) {
    const low = codeOf(weights[i], scale, inverse, 7) & 15;
    const high = i + 1 < end ? codeOf(weights[i + 1], scale, inverse, 7) : 0;
    codes[at++] = low | high << 4;
  }
}

function notFinite(
  weights: Float32Array,
  inner: number,
  first: number,
  firstRow: number,
): RangeError {
  const i = first + weights.subarray(first).findIndex((weight) => !Number.isFinite(weight));
  const place = `row ${firstRow + Math.floor(i / inner)}, column ${i % inner}`;
  return new RangeError(`${place}: found ${weights[i]}, expected a finite weight`);
}

/**
 * Converts codes and scales back to weights.
 * @returns `[rows, inner]`; each weight is exact in f32
 */
export function decodeRows(
  scheme: QuantScheme,
  { codes, scales }: EncodedRows,
  inner: number,
): Float32Array<ArrayBuffer> {
  const rowBytes = storedRowBytes(scheme, inner);
  const groups = groupsOf(scheme, inner);
  const rows = codes.length / rowBytes;
  const { read } = packingOf(scheme);
  const weights = new Float32Array(rows * inner);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < inner; k++) {
      const scale = scaleOf(scales[row * groups + Math.floor(k / scheme.group!)]);
      weights[row * inner + k] = read(codes, row * rowBytes, k) * scale;
    }
  }
  return weights;
}
