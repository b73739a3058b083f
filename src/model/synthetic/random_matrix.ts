/** Makes a weight matrix of random values on the GPU, to time kernels that multiply it. */

import type { Gpu } from "../../gpu/device.ts";
import type { Arithmetic, WeightBinding } from "../../gpu/kernel.ts";
import { createTensor, type Tensor, tensorOf, upload } from "../../gpu/tensor.ts";
import type { WeightMatrix } from "../../kernels/weight_matrix.ts";
import {
  blocksOf,
  codeBytesPerColumn,
  type QuantScheme,
  scaleWords,
  schemeConstants,
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
 * @returns the matrix, and the tensors that the caller must free
 * @throws {GpuError} when the matrix does not fit one binding
 */
export function randomMatrix(
  gpu: Gpu,
  { scheme, inner, columns, paired = false, arithmetic }: RandomMatrixShape,
): { readonly matrix: WeightMatrix; readonly tensors: readonly Tensor[] } {
  const outputs = (paired ? 2 : 1) * columns;
  const words = outputs * codeBytesPerColumn(scheme, inner) / 4;
  const units = createTensor(gpu, "weights", words);
  const drawn = patterns(scheme, Math.min(words, PERIOD));
  for (let at = 0; at < words; at += drawn.length) {
    upload(gpu, units, drawn.subarray(0, Math.min(drawn.length, words - at)), at);
  }
  const tensors = [units];
  if (scheme.group) {
    // Both f16 scales of a word are 2^-7.
    const scales = new Uint32Array(outputs * scaleWords(scheme, inner)).fill(0x20002000);
    tensors.push(tensorOf(gpu, "scales", scales));
  }
  const binding: WeightBinding = {
    // Pipelines are cached by this name.
    scheme: scheme.snippet === SCHEMES[scheme.name].snippet ? scheme.name : "other snippet",
    snippet: scheme.snippet,
    arithmetic,
    constants: schemeConstants(scheme),
    buffers: tensors.map(({ buffer }) => buffer),
  };
  const parts = [{ binding, firstColumn: 0, columns }];
  return { matrix: { scheme, blocks: blocksOf(inner), columns, parts, arithmetic }, tensors };
}
