/** Timings of linear layers for `unmask bench`. */

import type { Gpu } from "../gpu/device.ts";
import type { Arithmetic } from "../gpu/kernel.ts";
import { Recorder } from "../gpu/recorder.ts";
import { Scratch } from "../gpu/scratch.ts";
import { createTensor, type Tensor, tensorOf } from "../gpu/tensor.ts";
import { matmul } from "../kernels/matmul.ts";
import { quantizedRowWords, quantizeRows } from "../kernels/quantize_rows.ts";
import { defaultTiles, type TilePlan, type WeightMatrix } from "../kernels/weight_matrix.ts";
import { linear } from "../model/linear.ts";
import {
  blocksOf,
  codeBytesPerColumn,
  type QuantScheme,
  scaleWords,
  schemeConstants,
  SCHEMES,
} from "../quant/scheme.ts";
import { measureRate, type Rate } from "./ceilings.ts";

/** A linear layer's timing. */
export interface LinearRate extends Rate {
  readonly scheme: QuantScheme["name"];
  readonly arithmetic: Arithmetic;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

/** Random weights in a scheme's units; 16-bit patterns are kept to small finite values. */
function randomMatrix(
  gpu: Gpu,
  scheme: QuantScheme,
  inner: number,
  columns: number,
  arithmetic: Arithmetic,
  tiles: TilePlan,
): { matrix: WeightMatrix; tensors: Tensor[] } {
  const words = new Uint32Array(columns * codeBytesPerColumn(scheme, inner) / 4);
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
  const tensors = [tensorOf(gpu, "weights", words)];
  if (scheme.group) {
    // Both f16 scales of a word are 2^-7.
    const scales = new Uint32Array(columns * scaleWords(scheme, inner)).fill(0x20002000);
    tensors.push(tensorOf(gpu, "scales", scales));
  }
  const binding = {
    // Pipelines are found again by this name.
    scheme: scheme.snippet === SCHEMES[scheme.name].snippet ? scheme.name : "other snippet",
    snippet: scheme.snippet,
    arithmetic,
    constants: schemeConstants(scheme),
    buffers: tensors.map(({ buffer }) => buffer),
  };
  const parts = [{ binding, firstColumn: 0, columns }];
  return {
    matrix: { scheme, blocks: blocksOf(inner), columns, parts, arithmetic, tiles },
    tensors,
  };
}

/** What a rate is asked of besides the shape. */
export interface LinearForm {
  /** In what the products are made; default f32. */
  readonly arithmetic?: Arithmetic;
  readonly tiles?: TilePlan;
  /** WGSL in place of the scheme's own `load_weight8`, to see what loading costs. */
  readonly snippet?: string;
}

/** The rate of `y = x W^T`; with int8 arithmetic of rows that are quantised already. */
export async function linearRate(
  gpu: Gpu,
  scheme: QuantScheme["name"],
  rows: number,
  inner: number,
  columns: number,
  { arithmetic = "f32", tiles = defaultTiles(gpu, inner), snippet }: LinearForm = {},
): Promise<LinearRate> {
  using recorder = new Recorder(gpu);
  using scratch = new Scratch(gpu, recorder);
  const made = { ...SCHEMES[scheme], ...snippet ? { snippet } : {} };
  const { matrix, tensors } = randomMatrix(gpu, made, inner, columns, arithmetic, tiles);
  const words = arithmetic === "int8" ? quantizedRowWords(inner) : inner;
  const values = Float32Array.from({ length: rows * inner }, (_, i) => ((i * 7919) % 1000) / 1000);
  const rowsTensor = tensorOf(gpu, "rows", values);
  const x = arithmetic === "int8" ? createTensor(gpu, "codes", rows * words) : rowsTensor;
  const y = createTensor(gpu, "y", rows * columns);
  try {
    if (arithmetic === "int8") quantizeRows(recorder, rowsTensor, x, { rows, inner });
    const shape = { rows, yStride: columns };
    const rate = await measureRate(gpu, recorder, 2 * rows * inner * columns, () => {
      if (arithmetic === "int8") matmul(recorder, x, matrix, y, shape);
      else linear({ recorder, scratch }, x, matrix, y, shape);
    });
    return { scheme, arithmetic, rows, inner, columns, ...rate };
  } finally {
    for (const tensor of new Set([...tensors, rowsTensor, x, y])) tensor.destroy();
  }
}
