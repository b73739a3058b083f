/** `y += x W^T`, and y normed. */

import { stripAddNorm } from "../../src/kernels/strip_add_norm.ts";
import { stripMatmul } from "../../src/kernels/strip_matmul.ts";
import { stripRmsNorm } from "../../src/kernels/strip_rms_norm.ts";
import { paddedInner, type QuantScheme } from "../../src/quant/scheme.ts";
import { type CaseDeclaration, defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import {
  dot,
  type HostMatrix,
  matrixBytes,
  paddedRows,
  randomMatrix,
  uploadMatrix,
  uploadRows,
} from "./matrix.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly epsilon: number;
  readonly scheme: QuantScheme["name"];
}

interface Inputs extends Omit<Size, "scheme"> {
  readonly x: Float32Array<ArrayBuffer>;
  readonly gain: Float32Array<ArrayBuffer>;
  readonly matrix: HostMatrix;
  /** y before the call, `[rows, stride]`. */
  readonly old: Float32Array<ArrayBuffer>;
}

/** Row by row; what lies beyond the columns is left alone. */
function reference({ rows, columns, inner: _, epsilon, x, gain, matrix, old }: Inputs) {
  const stride = paddedInner(columns);
  const y = untouchedReference((rows + GUARD_ROWS) * stride);
  y.set(old);
  const normed = untouchedReference((rows + GUARD_ROWS) * stride);
  for (let row = 0; row < rows; row++) {
    let squares = 0;
    for (let column = 0; column < columns; column++) {
      squares += (y[row * stride + column] += dot(x, row, matrix, column)) ** 2;
    }
    const factor = 1 / Math.sqrt(squares / columns + epsilon);
    for (let column = 0; column < columns; column++) {
      normed[row * stride + column] = y[row * stride + column] * factor * gain[column];
    }
  }
  return { y, normed };
}

const declaration = (call: typeof stripAddNorm): CaseDeclaration<Size, Inputs> => ({
  kernel: "strip_add_norm",
  tolerance: 5e-6,
  sizes: [
    { name: "1 row of 4", rows: 1, columns: 4, inner: 7, epsilon: 1e-5, scheme: "f32" },
    { name: "9 rows of 60", rows: 9, columns: 60, inner: 24, epsilon: 0.1, scheme: "bf16" },
    { name: "17 rows of 128", rows: 17, columns: 128, inner: 40, epsilon: 1e-5, scheme: "bf16" },
    { name: "8 rows, q8", rows: 8, columns: 72, inner: 64, epsilon: 1e-5, scheme: "q8" },
  ],
  modelSizes: [128, 512].map((inner) => ({
    name: `128 rows, ${inner} to 128, bf16`,
    rows: 128,
    columns: 128,
    inner,
    epsilon: 1e-5,
    scheme: "bf16",
  })),
  inputs: ({ scheme, ...size }, random) => ({
    ...size,
    x: paddedRows(random, size.rows, size.inner),
    gain: random.floats(size.columns, 2),
    matrix: randomMatrix(random, scheme, size.columns, size.inner),
    old: paddedRows(random, size.rows, size.columns),
  }),
  upload(tensors, { rows, columns, epsilon, x, gain, matrix, old }) {
    const stride = paddedInner(columns);
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * stride);
    tensors.gpu.device.queue.writeBuffer(y.tensor.buffer, 0, old);
    const normed = tensors.untouched("normed", (rows + GUARD_ROWS) * stride);
    const bound = {
      x: uploadRows(tensors, x),
      gain: tensors.of("gain", gain),
      y: y.tensor,
      normed: normed.tensor,
    };
    const weights = uploadMatrix(tensors, matrix);
    return {
      record: (recorder) => call(recorder, bound, weights, { rows, stride, epsilon }),
      outputs: { y, normed },
    };
  },
  reference,
  cost: ({ rows, columns, inner, scheme }) => ({
    multiplyAdds: rows * columns * (inner + 2),
    bytes: matrixBytes(scheme, columns, inner) + 4 * rows * (paddedInner(inner) + 3 * columns),
  }),
});

export const kernelCase = defineCase<Size, Inputs>(declaration(stripAddNorm));

/** The same in two calls. */
export const inTwo = defineCase<Size, Inputs>(
  declaration((recorder, { x, gain, y, normed }, weights, { rows, stride, epsilon }) => {
    const { columns } = weights;
    stripMatmul(recorder, x, weights, y, { rows, yStride: stride, add: true });
    stripRmsNorm(recorder, y, gain, normed, { rows, xRows: rows, columns, stride, epsilon });
  }),
);
