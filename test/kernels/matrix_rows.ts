/** Rows as matrix units read them. */

import { MATRIX_FEATURE } from "../../src/gpu/matrix_units.ts";
import type { Recorder } from "../../src/gpu/recorder.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { matrixRows, matrixRowWords } from "../../src/kernels/matrix_rows.ts";
import { partsOf } from "../../src/kernels/matrix_tile.ts";
import type { WeightMatrix } from "../../src/kernels/weight_matrix.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { type CaseTensors, defineCase, UNTOUCHED_F32 } from "./case.ts";
import { paddedRows } from "./matrix.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly inner: number;
  readonly parts: 1 | 2;
  /** Size of x. */
  readonly scale?: number;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
}

/** Rows on the device, and their conversion, for a kernel that reads them as matrices. */
export function uploadMatrixRows(
  tensors: CaseTensors,
  x: Float32Array<ArrayBuffer>,
  { rows, inner }: { readonly rows: number; readonly inner: number },
  weights: Pick<WeightMatrix, "arithmetic">,
): { readonly input: Tensor; convert(recorder: Recorder): void } {
  const units = tensors.gpu.matrixUnits!;
  const shape = { rows, inner, parts: partsOf(weights) };
  const plain = tensors.of("x", x);
  const input = tensors.untouched("matrices", matrixRowWords(units, shape), ["f16"]).tensor;
  return { input, convert: (recorder) => matrixRows(recorder, units, plain, input, shape) };
}

const LARGEST_F16 = 65504;
const near = (x: number) => Math.min(Math.max(x, -LARGEST_F16), LARGEST_F16);

/** The parts of an x: all of it, or its eleven highest bits and what is left. */
function partsOfX(x: number, parts: 1 | 2): number[] {
  if (parts === 1) return [Math.f16round(near(x))];
  const bits = new Uint32Array(new Float32Array([near(x)]).buffer);
  bits[0] &= 0xffffe000;
  const [whole] = new Float32Array(bits.buffer);
  return [Math.f16round(whole), Math.f16round(near(x - whole))];
}

/** Words behind the matrices, which must stay as they are. */
const GUARD = 64;

/** Rows around those of a matrix, inner sizes around the 32 that a turn takes. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "matrix_rows",
  // The second part is below 2^-10 of x, and rounded to 11 bits.
  tolerance: 1e-6,
  toleranceOf: ({ parts }) => parts === 1 ? 2 ** -10 : undefined,
  featureOf: () => MATRIX_FEATURE,
  sizes: [
    { name: "one by one", rows: 1, inner: 1, parts: 2 },
    { name: "8 rows of 32", rows: 8, inner: 32, parts: 2 },
    { name: "9 rows of 33", rows: 9, inner: 33, parts: 2 },
    { name: "17 rows of 70, rounded", rows: 17, inner: 70, parts: 1 },
    { name: "3 rows of 300", rows: 3, inner: 300, parts: 2 },
    { name: "beyond f16", rows: 2, inner: 40, parts: 2, scale: 2e5 },
  ],
  modelSizes: [1, 2].map((parts) => ({
    name: `128 rows of 1024, parts ${parts}`,
    rows: 128,
    inner: 1024,
    parts: parts as 1 | 2,
  })),
  inputs: (size, random) => ({ ...size, x: paddedRows(random, size.rows, size.inner, size.scale) }),
  upload(tensors, { x, ...shape }) {
    const units = tensors.gpu.matrixUnits!;
    const y = tensors.untouched("y", matrixRowWords(units, shape) + GUARD, ["f16"]);
    const plain = tensors.of("x", x);
    return {
      record: (recorder) => matrixRows(recorder, units, plain, y.tensor, shape),
      outputs: { y },
    };
  },
  reference({ rows, inner, parts, x }, { matrixUnits }) {
    const { rows: tileRows, inner: tileInner } = matrixUnits!;
    const across = 32 * Math.ceil(inner / 32) / tileInner;
    const down = Math.ceil(rows / tileRows);
    const matrix = tileRows * tileInner;
    const size = down * across * parts * matrix;
    const y = new Float64Array(size + 2 * GUARD).fill(UNTOUCHED_F32);
    y.fill(0, 0, size);
    const stride = paddedInner(inner);
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < inner; k++) {
        const tile = Math.floor(row / tileRows) * across + Math.floor(k / tileInner);
        partsOfX(x[row * stride + k], parts).forEach((value, part) => {
          const at = (tile * parts + part) * matrix;
          y[at + row % tileRows * tileInner + k % tileInner] = value;
        });
      }
    }
    return { y };
  },
  cost: ({ rows, inner, parts }) => ({ multiplyAdds: 0, bytes: rows * inner * (4 + 2 * parts) }),
});
