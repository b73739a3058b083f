/** What a tiling is chosen for. */

import type { Gpu } from "../../gpu/device.ts";
import type { Arithmetic, Kernel } from "../../gpu/kernel.ts";
import { matmulKernel } from "../../kernels/matmul.ts";
import { qkvKernel } from "../../kernels/qkv.ts";
import { swigluKernel } from "../../kernels/swiglu.ts";
import {
  defaultTiles,
  followed,
  type TiledKernel,
  type TilePlan,
} from "../../kernels/weight_matrix.ts";
import { BLOCK, type QuantScheme, schemeText } from "../../quant/scheme.ts";

/** A matrix by what the time of its product depends on. */
export interface TiledMatrix {
  readonly kernel: TiledKernel;
  readonly scheme: QuantScheme;
  readonly arithmetic: Arithmetic;
  /** Inner size in blocks of 8. */
  readonly blocks: number;
  /** Outputs; for qkv and swiglu, pairs of them. */
  readonly columns: number;
}

/** Tiles of a matrix where they were tuned. */
export type TileLookup = (matrix: TiledMatrix) => TilePlan | undefined;

const KERNELS: Readonly<Record<TiledKernel, Kernel>> = {
  matmul: matmulKernel,
  qkv: qkvKernel,
  swiglu: swigluKernel,
};

/** The shader that multiplies it. */
export function kernelOf({ kernel }: TiledMatrix): Kernel {
  return KERNELS[kernel];
}

/** Outputs as they lie on the GPU: two of a pair. */
export function outputsOf({ kernel, columns }: TiledMatrix): number {
  return (kernel === "matmul" ? 1 : 2) * columns;
}

/** What the fixed rule says. */
export function fixedPlan(gpu: Gpu, { kernel, blocks }: TiledMatrix): TilePlan {
  return followed(kernel, defaultTiles(gpu, BLOCK * blocks));
}

/** One line that tells matrices apart: `matmul, 4096 -> 4096, q4 in groups of 32, f32 arithmetic`. */
export function matrixName(matrix: TiledMatrix): string {
  const { kernel, scheme, arithmetic, blocks } = matrix;
  const sizes = `${BLOCK * blocks} -> ${outputsOf(matrix)}`;
  return `${kernel}, ${sizes}, ${schemeText(scheme)}, ${arithmetic} arithmetic`;
}
