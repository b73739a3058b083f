/**
 * Quantises one group of weights to integer codes and a scale. Every step is exact, or corrected
 * until it is, so that the shader for it (shaders/quantize.wgsl) gives the same bits on every
 * device.
 */

import { f16ToF32 } from "../gpu/dtype.ts";

/** The least scale: the smallest normal f16, since a device may treat smaller ones as 0. */
export const LEAST_SCALE_BITS = 0x0400;
/** The largest finite f16. */
const MOST_SCALE_BITS = 0x7bff;

const scales = f16ToF32(Uint16Array.from({ length: MOST_SCALE_BITS + 1 }, (_, bits) => bits));

/** The value of an f16 scale. */
export function scaleOf(bits: number): number {
  return scales[bits];
}

/**
 * Finds the least f16 scale s, at least 2^-14, with `most * s >= magnitude`, so that no code is
 * clipped.
 * @param magnitude the largest magnitude of the group
 * @param most the largest code, 127 or 7
 * @returns the scale's bits; the largest finite f16 if none is large enough
 */
export function scaleBits(magnitude: number, most: number): number {
  quotient[0] = magnitude / most;
  // Shifting truncates, so this f16 equals the quotient or is just below it.
  const guess = (quotientBits[0] - F16_IN_F32) >> 13;
  let bits = Math.max(LEAST_SCALE_BITS, Math.min(MOST_SCALE_BITS, guess));
  while (bits > LEAST_SCALE_BITS && most * scales[bits - 1] >= magnitude) bits--;
  while (bits < MOST_SCALE_BITS && most * scales[bits] < magnitude) bits++;
  return bits;
}

const quotient = new Float32Array(1);
const quotientBits = new Int32Array(quotient.buffer);
/** Difference of the exponent biases, shifted to the exponent's place. */
const F16_IN_F32 = (127 - 15) << 23;

/**
 * The code nearest to `weight / scale`, with halves rounded up, within `[-most, most]`.
 * @param inverse `1 / scale`
 */
export function codeOf(weight: number, scale: number, inverse: number, most: number): number {
  let code = Math.floor(weight * inverse + 0.5);
  // The quotient may be rounded wrongly; comparing exact products corrects it.
  if (weight < (code - 0.5) * scale) code--;
  else if (weight >= (code + 0.5) * scale) code++;
  return code > most ? most : code < -most ? -most : code;
}
