/** A weight matrix of random values on the GPU, to time what multiplies it. */

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

/** What is drawn. */
export interface RandomMatrixShape {
  readonly scheme: QuantScheme;
  readonly inner: number;
  /** Outputs, or pairs of them. */
  readonly columns: number;
  /** Whether each of `columns` is a pair, as in a gate/up matrix. */
  readonly paired?: boolean;
  readonly arithmetic: Arithmetic;
}

/** Words that are drawn; a larger matrix repeats them. */
const PERIOD = 2 ** 20;

/** Patterns of a scheme: quantised codes are any, 16-bit and f32 values small and finite. */
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
 * Makes the matrix in one part.
 * @returns it, and the tensors that the caller frees
 * @throws {GpuError} when it does not fit one binding
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
    // Pipelines are found again by this name.
    scheme: scheme.snippet === SCHEMES[scheme.name].snippet ? scheme.name : "other snippet",
    snippet: scheme.snippet,
    arithmetic,
    constants: schemeConstants(scheme),
    buffers: tensors.map(({ buffer }) => buffer),
  };
  const parts = [{ binding, firstColumn: 0, columns }];
  return { matrix: { scheme, blocks: blocksOf(inner), columns, parts, arithmetic }, tensors };
}
