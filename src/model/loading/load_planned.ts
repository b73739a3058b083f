/** A target and its draft on a device of their own, in the precision that its memory has room for. */

import { acquireGpu, GpuError, GpuMemoryError } from "../../gpu/device.ts";
import { openProvider, type ProviderName } from "../../gpu/provider.ts";
import { readConfig } from "./config.ts";
import { freeHostBytes } from "../memory/host_memory.ts";
import { loadModel, type LoadModelOptions, type LoadProgress } from "./load.ts";
import { type MemoryPlan, planMemory } from "../memory/memory_plan.ts";
import type { ModelMemory } from "../memory/model_memory.ts";
import { precisionOf } from "../memory/precision.ts";
import type { PlanRequest } from "../memory/plan_request.ts";
import type { Model } from "../model.ts";
import { tileLookup, type TunedTiles } from "../tiles/tuned_tiles.ts";

/** Models that share a device. */
export interface LoadedPair {
  /** Disposing of it frees the device too: dispose of the draft first. */
  readonly target: Model;
  readonly draft?: Model;
}

/** What is loaded, and how. */
export interface PlannedLoad extends PlanRequest {
  /** The name of a provider, or any object with the `GPU` interface; default Deno's own. */
  readonly provider?: ProviderName | GPU;
  /** Tilings that were tuned, of this device and others; default: the fixed rule everywhere. */
  readonly tuned?: TunedTiles;
  /** Told true before the thread may stand still for long, and false afterwards. */
  readonly onWait?: (waits: boolean) => void;
  /** Told while the target's weights are uploaded. */
  readonly onProgress?: LoadProgress;
  /** Told before anything is uploaded, once for each choice that is tried. */
  readonly onPlan?: (plan: MemoryPlan) => void;
}

/**
 * Acquires a device, plans its memory and loads. Where memory runs out nonetheless, as on an adapter
 * that does not say how much it has, the next smaller choice is loaded instead. After an error nothing
 * stays on the GPU.
 * @throws as {@linkcode planMemory} and {@linkcode loadModel}
 * @throws {GpuError} when the provider does not start or there is no adapter
 */
export async function loadPlanned(load: PlannedLoad): Promise<LoadedPair> {
  let lacking: { readonly error: GpuMemoryError; readonly bytes: number } | undefined;
  while (true) {
    let plan: MemoryPlan | undefined;
    const onPlan = (planned: MemoryPlan) => {
      plan = planned;
      load.onPlan?.(planned);
    };
    try {
      return await loadOnce({ ...load, onPlan, tooMany: lacking?.bytes });
    } catch (error) {
      if (!plan && lacking && error instanceof GpuError) throw lacking.error;
      if (!plan || !(error instanceof GpuMemoryError)) throw error;
      lacking = { error, bytes: plan.bytes };
    }
  }
}

async function loadOnce(
  { provider, tuned, onWait, onProgress, onPlan, ...request }: PlannedLoad,
): Promise<LoadedPair> {
  const gpu = await acquireGpu({
    provider: typeof provider === "string" ? (await openProvider(provider)).gpu : provider,
    onWait,
  });
  try {
    const available = request.available ?? freeHostBytes(gpu);
    const plan = await planMemory(gpu, { ...request, available });
    onPlan?.(plan);
    const tiles = tuned && tileLookup(tuned, gpu);
    const options = ({ folder, choice }: ModelMemory): LoadModelOptions => ({
      precision: precisionOf(choice, request, readConfig(folder)),
      context: plan.context,
      kvCache: request.kvCache,
      tiles,
    });
    const target = await loadModel(gpu, plan.target.folder, {
      ...options(plan.target),
      onProgress,
      owned: gpu,
    });
    if (!plan.draft) return { target };
    try {
      return { target, draft: await loadModel(gpu, plan.draft.folder, options(plan.draft)) };
    } catch (error) {
      target[Symbol.dispose]();
      throw error;
    }
  } catch (error) {
    gpu[Symbol.dispose]();
    throw error;
  }
}
