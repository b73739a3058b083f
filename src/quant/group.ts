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
  quotient[0] = magnitude / most;
  // As a shift makes it, the f16 is at or just below the quotient.
  const guess = (quotientBits[0] - F16_IN_F32) >> 13;
  let bits = Math.max(LEAST_SCALE_BITS, Math.min(MOST_SCALE_BITS, guess));
  while (bits > LEAST_SCALE_BITS && most * scales[bits - 1] >= magnitude) bits--;
  while (bits < MOST_SCALE_BITS && most * scales[bits] < magnitude) bits++;
  return bits;
}

const quotient = new Float32Array(1);
const quotientBits = new Int32Array(quotient.buffer);
/** Difference of the exponents' biases, in place. */
const F16_IN_F32 = (127 - 15) << 23;

/**
 * The code nearest to `weight / scale`, halves upwards, within `[-most, most]`.
 * @param inverse `1 / scale`
 */
export function codeOf(weight: number, scale: number, inverse: number, most: number): number {
  let code = Math.floor(weight * inverse + 0.5);
  // The quotient is rounded; the products are exact.
  if (weight < (code - 0.5) * scale) code--;
  else if (weight >= (code + 0.5) * scale) code++;
  return code > most ? most : code < -most ? -most : code;
}
