/** Makes a weight matrix of random values on the GPU, to time kernels that multiply it. */

import type { Gpu } from "../../gpu/device.ts";
import type { Arithmetic } from "../../gpu/kernel.ts";
import { createTensor, type Tensor, tensorOf, upload } from "../../gpu/tensor.ts";
import type { Texels } from "../../gpu/texels.ts";
import { bindWeights } from "../../kernels/weight_binding.ts";
import type { WeightMatrix } from "../../kernels/weight_matrix.ts";
import {
  blocksOf,
  codeBytesPerColumn,
  type QuantScheme,
  scaleWords,
  SCHEMES,
} from "../../quant/scheme.ts";

/** Shape of a random matrix. */
export interface RandomMatrixShape {
  readonly scheme: QuantScheme;
  readonly inner: number;
  /** Number of outputs, or of pairs of outputs. */
  readonly columns: number;
  /** Whether each of `columns` is a pair, as in a gate/up matrix. */
  readonly paired?: boolean;
  readonly arithmetic: Arithmetic;
}

/** Number of random words that are drawn; a larger matrix repeats them. */
const PERIOD = 2 ** 20;

/**
 * Random words of a scheme: codes may have any bits; 16-bit and f32 values are small and finite.
 */
function patterns(scheme: QuantScheme, count: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(count);
  let state = 1;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    if (scheme.group) {
      words[i] = state;
      continue;
    }
    const signs = state & 0x80008000;
    const mantissas = (state >>> 8) & 0x007f007f;
    words[i] = scheme.name === "f32"
      ? signs & 0x80000000 | 0x3d000000 | mantissas
      : signs | (scheme.name === "bf16" ? 0x3d003d00 : 0x28002800) | mantissas;
  }
  return words;
}

/**
 * Makes a random matrix in one part.
 * @returns the matrix, and the memory that the caller must free
 * @throws {GpuError} when the matrix does not fit one binding
 */
export function randomMatrix(
  gpu: Gpu,
  { scheme, inner, columns, paired = false, arithmetic }: RandomMatrixShape,
): { readonly matrix: WeightMatrix; readonly owned: readonly (Tensor | Texels)[] } {
  const outputs = (paired ? 2 : 1) * columns;
  const words = outputs * codeBytesPerColumn(scheme, inner) / 4;
  const units = createTensor(gpu, "weights", words);
  const drawn = patterns(scheme, Math.min(words, PERIOD));
  for (let at = 0; at < words; at += drawn.length) {
    upload(gpu, units, drawn.subarray(0, Math.min(drawn.length, words - at)), at);
  }
  // Both f16 scales of a word are 2^-7.
  const scales = scheme.group
    ? tensorOf(gpu, "scales", new Uint32Array(outputs * scaleWords(scheme, inner)).fill(0x20002000))
    : undefined;
  const { binding, texels, move } = bindWeights(gpu, scheme, arithmetic, { units, scales });
  move();
  // Pipelines are cached by this name.
  const own = scheme.snippet === SCHEMES[scheme.name].snippet;
  const named = own ? binding : { ...binding, scheme: "other snippet" };
  const parts = [{ binding: named, firstColumn: 0, columns }];
  const owned = [texels ?? units, ...scales ? [scales] : []];
  return { matrix: { scheme, blocks: blocksOf(inner), columns, parts, arithmetic }, owned };
}
