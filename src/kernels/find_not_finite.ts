/** Weights that are not finite, found on the GPU before they are repacked. */

import source from "../../shaders/find_not_finite.wgsl" with { type: "text" };
import { byteSize, type FloatDType } from "../gpu/dtype.ts";
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/find_not_finite.wgsl */
export const findNotFiniteKernel = defineKernel({
  name: "find_not_finite",
  source,
  bindings: { rows: "read", found: "write" },
  params: { words: "u32", last: "u32", tensor: "u32" },
  constants: { SOURCE: 2 },
});

const SOURCES: Readonly<Record<FloatDType, number>> = { F32: 0, F16: 1, BF16: 2 };

/** Words that an invocation reads at most, until there are too many workgroups. */
const WORDS = 32;
const MOST_WORKGROUPS = 1024;

/**
 * Records the search.
 * @param rows `[elements]`, one or more, two to a word where they have 16 bits; whole groups of four words
 * @param found `[tensors]`; the word of `tensor` becomes 1 where an element is not finite
 */
export function findNotFinite(
  recorder: Recorder,
  rows: Tensor,
  dtype: FloatDType,
  elements: number,
  found: Tensor,
  tensor: number,
): void {
  const words = Math.ceil(elements * byteSize(dtype) / 4);
  const isHalf = elements * byteSize(dtype) % 4 !== 0;
  recorder.dispatch(findNotFiniteKernel, {
    bindings: { rows, found },
    params: { words, last: isHalf ? 0xffff : 0xffffffff, tensor },
    constants: { SOURCE: SOURCES[dtype] },
    workgroups: [Math.min(MOST_WORKGROUPS, Math.ceil(words / (256 * WORDS)))],
  });
}
