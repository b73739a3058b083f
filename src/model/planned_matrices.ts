/** The matrices that loading a model would put on a device, without loading it. */

import type { Gpu } from "../gpu/device.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import { readConfig } from "./config.ts";
import { freeHostBytes } from "./host_memory.ts";
import { planMemory, type PlanRequest, precisionOf } from "./memory_plan.ts";
import { rehearse } from "./rehearsal.ts";
import { syntheticModel } from "./synthetic.ts";
import type { SyntheticShape } from "./synthetic_shape.ts";
import { matrixName, tiledMatrices, type TiledMatrix } from "./tiled_matrix.ts";

/**
 * Of a target and its draft, in the precision that is planned for the device's memory.
 * @throws as planMemory
 */
export async function plannedMatrices(gpu: Gpu, request: PlanRequest): Promise<TiledMatrix[]> {
  const available = request.available ?? freeHostBytes(gpu);
  const plan = await planMemory(gpu, { ...request, available });
  const found = new Map<string, TiledMatrix>();
  for (const model of [plan.target, ...plan.draft ? [plan.draft] : []]) {
    const config = readConfig(model.folder);
    using checkpoint = openCheckpoint(model.folder);
    const precision = precisionOf(model.choice, request, config);
    const { layers } = await rehearse(config, checkpoint, gpu, precision);
    for (const matrix of tiledMatrices(gpu, layers)) found.set(matrixName(matrix), matrix);
  }
  return [...found.values()];
}

/** Of a shape that has no folder, stored in bf16. */
export async function syntheticMatrices(
  gpu: Gpu,
  shape: SyntheticShape,
  { weights, arithmetic }: Pick<PlanRequest, "weights" | "arithmetic">,
): Promise<TiledMatrix[]> {
  using model = syntheticModel({ ...shape, layers: 1 });
  const precision = precisionOf(weights, { arithmetic }, model.config);
  const { layers } = await rehearse(model.config, model.checkpoint, gpu, precision);
  return tiledMatrices(gpu, layers);
}
