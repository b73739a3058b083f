/** Weights that are infinite or no number, wherever they stand. */

import { byteSize, type FloatDType, fromF32, toF32 } from "../../src/gpu/dtype.ts";
import { findNotFinite } from "../../src/kernels/find_not_finite.ts";
import { defineCase, untouchedReference } from "./case.ts";

interface Size {
  readonly name: string;
  readonly dtype: FloatDType;
  readonly elements: number;
  /** Where a weight that is not finite stands, and which; default: none is. */
  readonly at?: number;
  readonly value?: number;
}

interface Inputs extends Size {
  /** As in a file; behind the last element stands what is no number. */
  readonly words: Uint32Array<ArrayBuffer>;
}

const TENSORS = 5;
const TENSOR = 3;

/** The word of the tensor is 1 where an element is not finite; all others stay. */
export function reference({ dtype, elements, words }: Inputs) {
  const values = toF32(new Uint8Array(words.buffer, 0, elements * byteSize(dtype)), dtype);
  const found = untouchedReference(TENSORS, ["u32"]);
  if (!values.every(Number.isFinite)) found[TENSOR] = 1;
  return { found };
}

const DTYPES = ["F32", "F16", "BF16"] as const;

/** Odd numbers of elements, so that half a word is left. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "find_not_finite",
  tolerance: 0,
  sizes: DTYPES.flatMap((dtype): Size[] => [
    { name: `${dtype}, one that is finite`, dtype, elements: 1 },
    { name: `${dtype}, one that is not`, dtype, elements: 1, at: 0, value: NaN },
    { name: `${dtype}, all finite`, dtype, elements: 9001 },
    { name: `${dtype}, the last infinite`, dtype, elements: 9001, at: 9000, value: Infinity },
    { name: `${dtype}, one in a word`, dtype, elements: 9001, at: 4097, value: -Infinity },
    { name: `${dtype}, the other in a word`, dtype, elements: 70_000, at: 65_536, value: NaN },
  ]),
  modelSizes: [{ name: "4 MiB of bf16", dtype: "BF16", elements: 2 ** 21 }],
  inputs(size, random) {
    const { dtype, elements, at, value = NaN } = size;
    const values = random.floats(elements);
    // The largest and the smallest magnitudes are finite.
    values[elements >> 1] = dtype === "F16" ? 65504 : 3.38e38;
    if (elements > 2) values[1] = dtype === "F16" ? 2 ** -24 : 2 ** -133;
    if (at !== undefined) values[at] = value;
    const bytes = fromF32(values, dtype);
    const words = new Uint32Array(4 * Math.ceil(bytes.length / 16)).fill(0xffffffff);
    new Uint8Array(words.buffer).set(bytes);
    return { ...size, words };
  },
  upload(tensors, { dtype, elements, words }) {
    const found = tensors.untouched("found", TENSORS, ["u32"]);
    const rows = tensors.of("rows", words);
    return {
      record: (recorder) => findNotFinite(recorder, rows, dtype, elements, found.tensor, TENSOR),
      outputs: { found },
    };
  },
  reference,
  cost: ({ dtype, elements }) => ({ multiplyAdds: 0, bytes: elements * byteSize(dtype) }),
});
