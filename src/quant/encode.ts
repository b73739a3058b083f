/** Rows of weights become codes and scales as a file holds them, and back. */

import { codeOf, scaleBits, scaleOf } from "./group.ts";
import { groupsOf, type QuantScheme, storedRowBytes } from "./scheme.ts";

/** Codes and scales of some rows. */
export interface EncodedRows {
  /** `[rows, storedRowBytes]` */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** `[rows, groups]`, f16 bits */
  readonly scales: Uint16Array<ArrayBuffer>;
}

/** The largest code of a scheme: 127 or 7. The codes are symmetric about 0. */
export function mostCode({ bits }: QuantScheme): number {
  return 2 ** (bits - 1) - 1;
}

/**
 * Quantises row by row, group by group: symmetric, nearest code.
 * @param weights `[rows, inner]`, finite
 * @throws {RangeError} for a weight that is not finite, naming its place
 */
export function encodeRows(
  scheme: QuantScheme,
  weights: Float32Array,
  inner: number,
): EncodedRows {
  const rows = weights.length / inner;
  const group = scheme.group!;
  const groups = groupsOf(scheme, inner);
  const rowBytes = storedRowBytes(scheme, inner);
  const codes = new Uint8Array(rows * rowBytes);
  const scales = new Uint16Array(rows * groups);
  const most = mostCode(scheme);
  for (let row = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++) {
      const first = row * inner + g * group;
      const end = row * inner + Math.min(inner, (g + 1) * group);
      let magnitude = 0;
      for (let i = first; i < end; i++) {
        const weight = Math.abs(weights[i]);
        if (!(weight < Infinity)) {
          throw new RangeError(
            `row ${row}, column ${i - row * inner}: found ${weights[i]}, expected a finite weight`,
          );
        }
        if (weight > magnitude) magnitude = weight;
      }
      const bits = scaleBits(magnitude, most);
      scales[row * groups + g] = bits;
      const scale = scaleOf(bits);
      for (let i = first; i < end; i++) {
        const code = codeOf(weights[i], scale, most);
        const k = i - row * inner;
        if (scheme.bits === 8) codes[row * rowBytes + k] = code;
        else codes[row * rowBytes + (k >> 1)] |= (code & 15) << (4 * (k & 1));
      }
    }
  }
  return { codes, scales };
}

/**
 * The weights that codes and scales stand for.
 * @returns `[rows, inner]`; each is exact in f32
 */
export function decodeRows(
  scheme: QuantScheme,
  { codes, scales }: EncodedRows,
  inner: number,
): Float32Array<ArrayBuffer> {
  const rowBytes = storedRowBytes(scheme, inner);
  const groups = groupsOf(scheme, inner);
  const rows = codes.length / rowBytes;
  const weights = new Float32Array(rows * inner);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < inner; k++) {
      const scale = scaleOf(scales[row * groups + Math.floor(k / scheme.group!)]);
      const code = scheme.bits === 8
        ? codes[row * rowBytes + k] << 24 >> 24
        : codes[row * rowBytes + (k >> 1)] << (28 - 4 * (k & 1)) >> 28;
      weights[row * inner + k] = code * scale;
    }
  }
  return weights;
}
