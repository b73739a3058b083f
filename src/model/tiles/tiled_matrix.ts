/** The matrices that tilings are chosen for. */

import type { Gpu } from "../../gpu/device.ts";
import type { Arithmetic, Kernel } from "../../gpu/kernel.ts";
import { matmulKernel } from "../../kernels/matmul.ts";
import { qkvKernel } from "../../kernels/qkv.ts";
import { stripMatmulKernel } from "../../kernels/strip_matmul.ts";
import { stripQkvKernel } from "../../kernels/strip_qkv.ts";
import { stripSwigluKernel } from "../../kernels/strip_swiglu.ts";
import { swigluKernel } from "../../kernels/swiglu.ts";
import {
  defaultTiles,
  followed,
  type TiledKernel,
  type TilePlan,
} from "../../kernels/weight_matrix.ts";
import { BLOCK, type QuantScheme, schemeText } from "../../quant/scheme.ts";

/** The properties of a matrix that the time of its product depends on. */
export interface TiledMatrix {
  readonly kernel: TiledKernel;
  readonly scheme: QuantScheme;
  readonly arithmetic: Arithmetic;
  /** Inner size in blocks of 8. */
  readonly blocks: number;
  /** Number of outputs; for qkv and swiglu, of pairs of outputs. */
  readonly columns: number;
}

/** Returns the tuned tiles of a matrix, or undefined if it was not tuned. */
export type TileLookup = (matrix: TiledMatrix) => TilePlan | undefined;

const KERNELS: Readonly<Record<TiledKernel, readonly [tiles: Kernel, strips: Kernel]>> = {
  matmul: [matmulKernel, stripMatmulKernel],
  qkv: [qkvKernel, stripQkvKernel],
  swiglu: [swigluKernel, stripSwigluKernel],
};

/** The kernels that a tuning of a matrix chooses among: a software adapter can also multiply in strips. */
export function kernelsOf(
  { rowForm }: Pick<Gpu, "rowForm">,
  { kernel, arithmetic }: TiledMatrix,
): readonly Kernel[] {
  return KERNELS[kernel].slice(0, rowForm === "exchanged" && arithmetic === "f32" ? 2 : 1);
}

/** Number of outputs on the GPU, where a pair counts as two. */
export function outputsOf({ kernel, columns }: TiledMatrix): number {
  return (kernel === "matmul" ? 1 : 2) * columns;
}

/** The tiles of a matrix by the fixed rule. */
export function fixedPlan(gpu: Gpu, { kernel, blocks }: TiledMatrix): TilePlan {
  return followed(kernel, defaultTiles(gpu, kernel, BLOCK * blocks), gpu.rowForm);
}

/** A unique name such as `matmul, 4096 -> 4096, q4 in groups of 32, f32 arithmetic`. */
export function matrixName(matrix: TiledMatrix): string {
  const { kernel, scheme, arithmetic, blocks } = matrix;
  const sizes = `${BLOCK * blocks} -> ${outputsOf(matrix)}`;
  return `${kernel}, ${sizes}, ${schemeText(scheme)}, ${arithmetic} arithmetic`;
}
