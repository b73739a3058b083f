/** The matrices of a model's layers that take tiles. */

import type { Gpu } from "../../gpu/device.ts";
import { runsOnMatrixUnits } from "../../kernels/matrix_tile.ts";
import type { TiledKernel, WeightMatrix } from "../../kernels/weight_matrix.ts";
import type { LayerWeights } from "../forward_pass.ts";
import { matrixName, type TiledMatrix } from "./tiled_matrix.ts";

/** The matrices of layers that take tiles, each kind once; none on a device with matrix units. */
export function tiledMatrices(gpu: Gpu, layers: readonly LayerWeights[]): TiledMatrix[] {
  const found = new Map<string, TiledMatrix>();
  const add = (kernel: TiledKernel, weights: WeightMatrix) => {
    if (runsOnMatrixUnits(gpu.matrixUnits, weights)) return;
    const { scheme, arithmetic, blocks, columns } = weights;
    const matrix = { kernel, scheme, arithmetic, blocks, columns };
    found.set(matrixName(matrix), matrix);
  };
  for (const { qkv, attentionOut, gateUp, down } of layers) {
    add("qkv", qkv);
    add("matmul", attentionOut);
    add("swiglu", gateUp);
    add("matmul", down);
  }
  return [...found.values()];
}
