/** Rates of a training step's products, each alone. */

import type { Gpu } from "../gpu/device.ts";
import { Recorder } from "../gpu/recorder.ts";
import { Scratch } from "../gpu/scratch.ts";
import { createTensor, tensorOf } from "../gpu/tensor.ts";
import { multiply } from "../kernels/multiply_rows.ts";
import type { ModelConfig } from "../model/model_config.ts";
import { paddedInner } from "../quant/scheme.ts";
import { measureRate, type Rate } from "./ceilings.ts";

/** The products that a matrix has in training. */
export const PRODUCT_KINDS = ["forward", "gradient of rows", "gradient of weights"] as const;

/** Rates of a matrix's products. */
export interface MatrixRates {
  readonly inner: number;
  readonly columns: number;
  readonly rates: Readonly<Record<typeof PRODUCT_KINDS[number], Rate>>;
}

/** Sizes of a model's matrices, each once: of attention, of the feed-forward part, and the head. */
export function matrixSizes(
  { hiddenSize, ffnSize, embeddingSize }: Pick<
    ModelConfig,
    "hiddenSize" | "ffnSize" | "embeddingSize"
  >,
): readonly (readonly [inner: number, columns: number])[] {
  return [
    [hiddenSize, hiddenSize],
    [hiddenSize, ffnSize],
    [ffnSize, hiddenSize],
    [hiddenSize, embeddingSize],
  ];
}

/** Measures `y = x W^T`, `dX = dY W` and `dW += dY^T X` of a matrix `[columns, inner]`. */
export async function matrixRates(
  gpu: Gpu,
  rows: number,
  inner: number,
  columns: number,
): Promise<MatrixRates> {
  using recorder = new Recorder(gpu);
  using scratch = new Scratch(gpu, recorder);
  using made = new DisposableStack();
  const filled = (label: string, lines: number, line: number) => {
    const values = new Float32Array(lines * paddedInner(line)).map((_, i) => (i * 7919 % 97) / 97);
    return made.adopt(tensorOf(gpu, label, values), (tensor) => tensor.destroy());
  };
  const empty = (label: string, lines: number, line: number) =>
    made.adopt(createTensor(gpu, label, lines * paddedInner(line)), (tensor) => tensor.destroy());
  const x = filled("x", rows, inner);
  const weight = filled("weight", columns, inner);
  const dY = filled("d y", rows, columns);
  const y = empty("y", rows, columns);
  const dX = empty("d x", rows, inner);
  const dWeight = empty("d weight", columns, inner);
  const record: Readonly<Record<typeof PRODUCT_KINDS[number], () => void>> = {
    "forward": () =>
      multiply(recorder, x, weight, y, { rows, inner, columns, bTransposed: true, scratch }),
    "gradient of rows": () =>
      multiply(recorder, dY, weight, dX, { rows, inner: columns, columns: inner, scratch }),
    "gradient of weights": () =>
      multiply(recorder, dY, x, dWeight, {
        rows: columns,
        inner: rows,
        columns: inner,
        aTransposed: true,
        add: true,
        scratch,
      }),
  };
  const operations = 2 * rows * inner * columns;
  const rate = (kind: typeof PRODUCT_KINDS[number]) =>
    measureRate(gpu, recorder, operations, record[kind]);
  return {
    inner,
    columns,
    rates: {
      "forward": await rate("forward"),
      "gradient of rows": await rate("gradient of rows"),
      "gradient of weights": await rate("gradient of weights"),
    },
  };
}
