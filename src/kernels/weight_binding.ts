/** How kernels bind the weights of a part: in buffers, or as a software adapter reads them best. */

import type { Gpu } from "../gpu/device.ts";
import type { Arithmetic, WeightBinding } from "../gpu/kernel.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { createTexels, fitsTexels, moveToTexels, TEXEL_BYTES, type Texels } from "../gpu/texels.ts";
import { type QuantScheme, schemeConstants } from "../quant/scheme.ts";

/** Codes of a part, and the scales of a quantised one. */
export interface PartTensors {
  readonly units: Tensor;
  readonly scales?: Tensor;
}

/** A part's binding. */
export interface BoundPart {
  readonly binding: WeightBinding;
  /** A texture that the units come to lie in: the caller frees it, and calls `move`. */
  readonly texels?: Texels;
  /** Moves the units, once they are filled by what is submitted, and frees their tensor. */
  move(): void;
}

/** A larger part stays in its buffer: while it is moved it takes its memory twice. */
const MOST_BYTES = 2 ** 23;

/**
 * Binds a part. A software adapter, whose kernels exchange rows, gets floats in a texture, from which it
 * reads three times as fast; then their tensor is freed.
 */
export function bindWeights(
  gpu: Gpu,
  scheme: QuantScheme,
  arithmetic: Arithmetic,
  { units, scales }: PartTensors,
): BoundPart {
  const { name, snippet, texelSnippet } = scheme;
  const shared = { scheme: name, arithmetic, constants: schemeConstants(scheme) };
  const { byteLength } = units;
  const count = byteLength / TEXEL_BYTES;
  const moves = gpu.rowForm === "exchanged" && byteLength <= MOST_BYTES && fitsTexels(gpu, count);
  if (!texelSnippet || !moves) {
    const buffers = scales ? [units.buffer, scales.buffer] : [units.buffer];
    return { binding: { ...shared, snippet, buffers }, move() {} };
  }
  const texels = createTexels(gpu, "weights", count, "rgba32uint");
  return {
    binding: { ...shared, snippet: texelSnippet, buffers: [texels] },
    texels,
    move: () => moveToTexels(gpu, units, texels),
  };
}
