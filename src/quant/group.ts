/**
 * One group of weights as integer codes and a scale. Every step is exact or corrected until it is, so
 * that the shader that does the same (shaders/quantize.wgsl) gives the same bits on any device.
 */

import { f16ToF32 } from "../gpu/dtype.ts";

/** The least scale: the smallest normal f16, as a device may take smaller ones for 0. */
export const LEAST_SCALE_BITS = 0x0400;
/** The largest finite f16. */
const MOST_SCALE_BITS = 0x7bff;

const scales = f16ToF32(Uint16Array.from({ length: MOST_SCALE_BITS + 1 }, (_, bits) => bits));

/** The value of an f16 scale. */
export function scaleOf(bits: number): number {
  return scales[bits];
}

/**
 * The least f16 scale s, from 2^-14 on, with `most * s >= magnitude`: no code is clipped then.
 * @param magnitude the largest magnitude of the group
 * @param most the largest code, 127 or 7
 * @returns the scale's bits; the largest finite f16 where none is enough
 */
export function scaleBits(magnitude: number, most: number): number {
  let low = LEAST_SCALE_BITS;
  let high = MOST_SCALE_BITS;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (most * scales[middle] >= magnitude) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The code nearest to `weight / scale`, halves upwards, within `[-most, most]`. */
export function codeOf(weight: number, scale: number, most: number): number {
  let code = Math.floor(weight / scale + 0.5);
  // The quotient is rounded; the products are exact.
  if (weight < (code - 0.5) * scale) code--;
  if (weight >= (code + 0.5) * scale) code++;
  return Math.max(-most, Math.min(most, code));
}
