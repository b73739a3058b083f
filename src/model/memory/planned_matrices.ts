/** Lists the matrices that a loaded model would have on a device, without loading it. */

import type { Gpu } from "../../gpu/device.ts";
import { openCheckpoint } from "../../weights/checkpoint.ts";
import { readConfig } from "../loading/config.ts";
import { freeHostBytes } from "./host_memory.ts";
import type { KnownMemory } from "./model_memory.ts";
import { planMemory } from "./memory_plan.ts";
import { precisionOf } from "./precision.ts";
import type { PlanRequest } from "./plan_request.ts";
import { dryRun } from "./dry_run.ts";
import { syntheticModel } from "../synthetic/synthetic.ts";
import type { SyntheticShape } from "../synthetic/synthetic_shape.ts";
import { matrixName, type TiledMatrix } from "../tiles/tiled_matrix.ts";
import { tiledMatrices } from "../tiles/layer_matrices.ts";

/**
 * The matrices of a target and its draft, in the precision planned for the device's memory.
 * @param known memory figures found before for the same device
 * @throws as planMemory
 */
export async function plannedMatrices(
  gpu: Gpu,
  request: PlanRequest,
  known?: KnownMemory,
): Promise<TiledMatrix[]> {
  const available = request.available ?? freeHostBytes(gpu);
  const plan = await planMemory(gpu, { ...request, available }, known);
  const found = new Map<string, TiledMatrix>();
  for (const model of [plan.target, ...plan.draft ? [plan.draft] : []]) {
    const config = readConfig(model.folder);
    using checkpoint = openCheckpoint(model.folder);
    const precision = precisionOf(model.choice, request, config);
    const { layers } = await dryRun(config, checkpoint, gpu, precision);
    for (const matrix of tiledMatrices(gpu, layers)) found.set(matrixName(matrix), matrix);
  }
  return [...found.values()];
}

/** The matrices of a shape without a folder, stored in bf16. */
export async function syntheticMatrices(
  gpu: Gpu,
  shape: SyntheticShape,
  { weights, arithmetic }: Pick<PlanRequest, "weights" | "arithmetic">,
): Promise<TiledMatrix[]> {
  using model = syntheticModel({ ...shape, layers: 1 });
  const precision = precisionOf(weights, { arithmetic }, model.config);
  const { layers } = await dryRun(model.config, model.checkpoint, gpu, precision);
  return tiledMatrices(gpu, layers);
}
