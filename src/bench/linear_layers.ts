/** Times linear layers for `unmask bench`. */

import type { Gpu } from "../gpu/device.ts";
import type { Arithmetic } from "../gpu/kernel.ts";
import { Recorder } from "../gpu/recorder.ts";
import { Scratch } from "../gpu/scratch.ts";
import { createTensor, tensorOf } from "../gpu/tensor.ts";
import { matmul } from "../kernels/matmul.ts";
import { quantizedRowWords, quantizeRows } from "../kernels/quantize_rows.ts";
import { defaultTiles, type TilePlan } from "../kernels/weight_matrix.ts";
import { linear } from "../model/linear.ts";
import { randomMatrix } from "../model/synthetic/random_matrix.ts";
import { type QuantScheme, SCHEMES } from "../quant/scheme.ts";
import { measureRate, type Rate } from "./ceilings.ts";

/** A linear layer's timing. */
export interface LinearRate extends Rate {
  readonly scheme: QuantScheme["name"];
  readonly arithmetic: Arithmetic;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

/** Settings of a timing besides the shape. */
export interface LinearForm {
  /** Arithmetic of the products; default f32. */
  readonly arithmetic?: Arithmetic;
  readonly tiles?: TilePlan;
  /** WGSL to use instead of the scheme's `load_weight8`, to see what loading costs. */
  readonly snippet?: string;
}

/**
 * Measures the rate of `y = x W^T`; int8 arithmetic starts from rows that are already quantised.
 */
export async function linearRate(
  gpu: Gpu,
  scheme: QuantScheme["name"],
  rows: number,
  inner: number,
  columns: number,
  { arithmetic = "f32", tiles = defaultTiles(gpu, "matmul", inner), snippet }: LinearForm = {},
): Promise<LinearRate> {
  using recorder = new Recorder(gpu);
  using scratch = new Scratch(gpu, recorder);
  const made = { ...SCHEMES[scheme], ...snippet ? { snippet } : {} };
  const shape = { scheme: made, inner, columns, arithmetic };
  const { matrix: untiled, tensors } = randomMatrix(gpu, shape);
  const matrix = { ...untiled, tiles };
  const words = arithmetic === "int8" ? quantizedRowWords(inner) : inner;
  const values = Float32Array.from({ length: rows * inner }, (_, i) => ((i * 7919) % 1000) / 1000);
  const rowsTensor = tensorOf(gpu, "rows", values);
  const x = arithmetic === "int8" ? createTensor(gpu, "codes", rows * words) : rowsTensor;
  const y = createTensor(gpu, "y", rows * columns);
  try {
    if (arithmetic === "int8") quantizeRows(recorder, rowsTensor, x, { rows, inner, scheme: made });
    const options = { rows, yStride: columns, scratch };
    const rate = await measureRate(gpu, recorder, 2 * rows * inner * columns, () => {
      if (arithmetic === "int8") matmul(recorder, x, matrix, y, options);
      else linear({ recorder, scratch }, x, matrix, y, options);
    });
    return { scheme, arithmetic, rows, inner, columns, ...rate };
  } finally {
    for (const tensor of new Set([...tensors, rowsTensor, x, y])) tensor.destroy();
  }
}
