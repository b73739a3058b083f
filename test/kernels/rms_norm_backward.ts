/** The gradients of root-mean-square normalisation, added to what is there. */

import { rmsNormBackward } from "../../src/kernels/rms_norm_backward.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, UNTOUCHED_F32 } from "./case.ts";
import { weightedSum } from "./finite_differences.ts";
import { paddedRows } from "./matrix.ts";

interface Size {
  readonly name: string;
  /** Rows of x. */
  readonly xRows: number;
  readonly columns: number;
  readonly epsilon: number;
  /** Rows of x that are normed; all of them by default. */
  readonly rowIndex?: readonly number[];
  /** Size of x. */
  readonly scale?: number;
  /** Whether the weight is trained too; default true. */
  readonly trained?: boolean;
  /** Lanes of a workgroup; those of this device by default. */
  readonly lanes?: number;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
  readonly weight: Float32Array<ArrayBuffer>;
  readonly dY: Float32Array<ArrayBuffer>;
  /** What is there before, and guard rows. */
  readonly dX: Float32Array<ArrayBuffer>;
  readonly dWeight: Float32Array<ArrayBuffer>;
}

const rowsOf = ({ rowIndex, xRows }: Size) =>
  rowIndex ?? Array.from({ length: xRows }, (_, row) => row);

/** Normed rows. */
function normed(inputs: Inputs, x: ArrayLike<number>, weight: ArrayLike<number>): Float64Array {
  const { columns, epsilon } = inputs;
  const stride = paddedInner(columns);
  const rows = rowsOf(inputs);
  const y = new Float64Array(rows.length * stride);
  rows.forEach((row, i) => {
    let squares = 0;
    for (let k = 0; k < columns; k++) squares += x[row * stride + k] ** 2;
    const scale = 1 / Math.sqrt(squares / columns + epsilon);
    for (let k = 0; k < columns; k++) y[i * stride + k] = x[row * stride + k] * scale * weight[k];
  });
  return y;
}

/** `dx = s (w dy - x s^2 mean(w dy x))`, `dw = sum of dy x s`. */
function gradients(inputs: Inputs) {
  const { columns, epsilon, x, weight, dY } = inputs;
  const stride = paddedInner(columns);
  const dX = new Float64Array(x.length);
  const dWeight = new Float64Array(columns);
  rowsOf(inputs).forEach((row, i) => {
    let squares = 0;
    let along = 0;
    for (let k = 0; k < columns; k++) {
      squares += x[row * stride + k] ** 2;
      along += weight[k] * dY[i * stride + k] * x[row * stride + k];
    }
    const s = 1 / Math.sqrt(squares / columns + epsilon);
    for (let k = 0; k < columns; k++) {
      const [value, d] = [x[row * stride + k], dY[i * stride + k]];
      dX[row * stride + k] += s * (weight[k] * d - value * s ** 2 * along / columns);
      dWeight[k] += d * value * s;
    }
  });
  return { x: dX, weight: dWeight };
}

/** What was there, and the gradients. */
export function reference(inputs: Inputs) {
  const d_x = Float64Array.from(inputs.dX);
  const d_weight = Float64Array.from(inputs.dWeight);
  const { x, weight } = gradients(inputs);
  x.forEach((d, i) => d_x[i] += d);
  if (inputs.trained ?? true) weight.forEach((d, i) => d_weight[i] += d);
  return { d_x, d_weight };
}

/** Around what all lanes keep in registers, and more rows than there are sums of rows. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "rms_norm_backward",
  tolerance: 5e-6,
  sizes: [
    { name: "one by one", xRows: 1, columns: 1, epsilon: 1e-2 },
    { name: "9 rows of 7", xRows: 9, columns: 7, epsilon: 1e-6 },
    { name: "150 rows of 5", xRows: 150, columns: 5, epsilon: 1e-6 },
    { name: "35 rows of 64", xRows: 35, columns: 64, epsilon: 1e-5 },
    { name: "513 columns", xRows: 3, columns: 513, epsilon: 1e-5 },
    { name: "small", xRows: 2, columns: 33, epsilon: 1e-2, scale: 0.1 },
    { name: "gathered", xRows: 9, columns: 12, epsilon: 1e-5, rowIndex: [7, 0, 3, 8, 2] },
    { name: "no row", xRows: 2, columns: 5, epsilon: 1e-5, rowIndex: [] },
    {
      name: "no row, weight frozen",
      xRows: 2,
      columns: 5,
      epsilon: 1e-5,
      rowIndex: [],
      trained: false,
    },
    { name: "weight frozen", xRows: 19, columns: 20, epsilon: 1e-5, trained: false },
    ...[8, 32, 256].flatMap((lanes) =>
      [33, 16 * lanes, 16 * lanes + 1].map((columns) => {
        const name = `${columns} columns, ${lanes} lanes`;
        return { name, xRows: 10, columns, epsilon: 1e-5, lanes };
      })
    ),
  ],
  modelSizes: [{ name: "512 rows of 1024", xRows: 512, columns: 1024, epsilon: 1e-5 }],
  inputs(size, random) {
    const { xRows, columns, scale } = size;
    const stride = paddedInner(columns);
    const before = (rows: number) => {
      const numbers = new Float32Array((rows + GUARD_ROWS) * stride).fill(UNTOUCHED_F32);
      numbers.set(paddedRows(random, rows, columns));
      return numbers;
    };
    const dWeight = new Float32Array(columns + 8).fill(UNTOUCHED_F32);
    dWeight.set(random.floats(columns));
    return {
      ...size,
      x: paddedRows(random, xRows, columns, scale),
      weight: random.floats(columns),
      dY: paddedRows(random, rowsOf(size).length, columns),
      dX: before(xRows),
      dWeight,
    };
  },
  upload(tensors, inputs) {
    const { columns, epsilon, rowIndex, lanes, trained = true } = inputs;
    const dX = tensors.of("d_x", inputs.dX);
    const dWeight = tensors.of("d_weight", inputs.dWeight);
    const bound = {
      x: tensors.of("x", inputs.x),
      weight: tensors.of("weight", inputs.weight),
      dY: tensors.of("d_y", inputs.dY),
      dX,
      dWeight: trained ? dWeight : undefined,
    };
    const options = {
      rows: rowsOf(inputs).length,
      columns,
      stride: paddedInner(columns),
      epsilon,
      lanes,
      rowIndex: rowIndex && tensors.of("row index", Uint32Array.from(rowIndex)),
      scratch: { get: (name: string, words: number) => tensors.untouched(name, words).tensor },
    };
    return {
      record: (recorder) => rmsNormBackward(recorder, bound, options),
      outputs: {
        d_x: { tensor: dX, length: inputs.dX.length, words: ["f32"] },
        d_weight: { tensor: dWeight, length: inputs.dWeight.length, words: ["f32"] },
      },
    };
  },
  reference,
  differences: (inputs) => ({
    variables: { x: Float64Array.from(inputs.x), weight: Float64Array.from(inputs.weight) },
    value: ({ x, weight }) => weightedSum(normed(inputs, x, weight), inputs.dY),
    gradients: gradients(inputs),
  }),
  cost: ({ xRows, columns }) => ({
    multiplyAdds: 6 * xRows * columns,
    bytes: 16 * xRows * columns,
  }),
});
