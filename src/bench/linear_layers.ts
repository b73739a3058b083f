/** Times linear layers for `unmask bench`. */

import type { Gpu } from "../gpu/device.ts";
import type { Arithmetic } from "../gpu/kernel.ts";
import { Recorder } from "../gpu/recorder.ts";
import { Scratch } from "../gpu/scratch.ts";
import { createTensor, tensorOf } from "../gpu/tensor.ts";
import { matmul } from "../kernels/matmul.ts";
import { runsOnMatrixUnits } from "../kernels/matrix_tile.ts";
import { runsInStrips } from "../kernels/strips.ts";
import { defaultTiles, type TilePlan } from "../kernels/weight_matrix.ts";
import { linear, rowsFor } from "../model/linear.ts";
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
 * Measures the rate of `y = x W^T`, from rows that are already in the form that the arithmetic reads;
 * on matrix units their conversion counts.
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
  const made = { ...SCHEMES[scheme], ...snippet ? { snippet, texelSnippet: undefined } : {} };
  const shape = { scheme: made, inner, columns, arithmetic };
  const { matrix: untiled, owned } = randomMatrix(gpu, shape);
  const matrix = { ...untiled, tiles };
  const values = Float32Array.from({ length: rows * inner }, (_, i) => ((i * 7919) % 1000) / 1000);
  const rowsTensor = tensorOf(gpu, "rows", values);
  const y = createTensor(gpu, "y", rows * columns);
  try {
    const converts = runsOnMatrixUnits(gpu.matrixUnits, matrix);
    const inStrips = runsInStrips(gpu, matrix, columns);
    const space = { recorder, scratch };
    const x = converts ? rowsTensor : rowsFor(matrix, rowsTensor, rows, space);
    const options = { rows, yStride: columns, scratch };
    const rate = await measureRate(gpu, recorder, 2 * rows * inner * columns, () => {
      if (converts || inStrips) linear(space, x, matrix, y, options);
      else matmul(recorder, x, matrix, y, options);
    });
    return { scheme, arithmetic, rows, inner, columns, ...rate };
  } finally {
    for (const one of [...owned, rowsTensor, y]) one.destroy();
  }
}
