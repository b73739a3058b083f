/** Rows of logits with padding, and tensors that a kernel changes in place. */

import { paddedInner } from "../../src/quant/scheme.ts";
import type { CaseTensors, KernelOutput } from "./case.ts";
import type { Random } from "./random.ts";

/** `[rows, paddedInner(columns)]`, 0 in the padding, which no softmax may count. */
export function logitRows(
  random: Random,
  rows: number,
  columns: number,
  scale: number,
): Float32Array<ArrayBuffer> {
  const stride = paddedInner(columns);
  const logits = random.floats(rows * stride, scale);
  return logits.map((logit, i) => i % stride < columns ? logit : 0);
}

/** A tensor that holds `data` and, behind it, `more` elements of `guard`. */
export function inPlace(
  tensors: CaseTensors,
  label: string,
  data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
  more: number,
  guard: number,
): KernelOutput {
  const length = data.length + more;
  const isFloat = data instanceof Float32Array;
  const held = isFloat ? new Float32Array(length) : new Uint32Array(length);
  held.set(data);
  held.fill(guard, data.length);
  return { tensor: tensors.of(label, held), length, words: [isFloat ? "f32" : "u32"] };
}
