/** Loads a target and its draft onto a new device, in a precision that fits its memory. */

import { GpuError, GpuMemoryError } from "../../gpu/device.ts";
import { type DeviceChoice, openChoice, openGpu } from "../../gpu/device_choice.ts";
import { readConfig } from "./config.ts";
import { freeHostBytes } from "../memory/host_memory.ts";
import { loadModel, type LoadModelOptions, type LoadProgress } from "./load.ts";
import { type MemoryPlan, planMemory } from "../memory/memory_plan.ts";
import type { ModelMemory } from "../memory/model_memory.ts";
import { precisionOf } from "../memory/precision.ts";
import type { PlanRequest } from "../memory/plan_request.ts";
import type { Model } from "../model.ts";
import { tileLookup, type TunedTiles } from "../tiles/tuned_tiles.ts";

/** A target and its draft on one device. */
export interface LoadedPair {
  /** The target; disposing of it also frees the device, so dispose of the draft first. */
  readonly target: Model;
  readonly draft?: Model;
}

/** The models to load, and the options. */
export interface PlannedLoad extends PlanRequest, DeviceChoice {
  /** Told in one line which provider `auto` chose, and why. */
  readonly onProvider?: (line: string) => void;
  /** Tuned tiles of this device and others; default: tiles by the fixed rule. */
  readonly tuned?: TunedTiles;
  /** Told true before the thread may stand still for long, and false afterwards. */
  readonly onWait?: (waits: boolean) => void;
  /** Told while the target's weights are uploaded. */
  readonly onProgress?: LoadProgress;
  /** Called with each plan that is tried, before anything of it is uploaded. */
  readonly onPlan?: (plan: MemoryPlan) => void;
}

/**
 * Acquires a device, plans its memory and loads the models. If memory still runs out, which happens
 * on an adapter that does not report its memory, it loads the next smaller choice. After an error
 * nothing stays on the GPU.
 * @throws as {@linkcode planMemory} and {@linkcode loadModel}
 * @throws {GpuError} when the provider does not start or there is no adapter
 */
export async function loadPlanned(load: PlannedLoad): Promise<LoadedPair> {
  const { onProvider, ...planned } = load;
  const provider = await openChoice(load, onProvider);
  let lacking: { readonly error: GpuMemoryError; readonly bytes: number } | undefined;
  while (true) {
    let plan: MemoryPlan | undefined;
    const onPlan = (found: MemoryPlan) => {
      plan = found;
      load.onPlan?.(found);
    };
    try {
      return await loadOnce({ ...planned, provider, onPlan, tooMany: lacking?.bytes });
    } catch (error) {
      if (!plan && lacking && error instanceof GpuError) throw lacking.error;
      if (!plan || !(error instanceof GpuMemoryError)) throw error;
      lacking = { error, bytes: plan.bytes };
    }
  }
}

async function loadOnce(
  { provider, adapter, rowForm, tuned, onWait, onProgress, onPlan, ...request }: Omit<
    PlannedLoad,
    "onProvider"
  >,
): Promise<LoadedPair> {
  const gpu = await openGpu({ provider, adapter, rowForm }, { onWait });
  try {
    const available = request.available ?? freeHostBytes(gpu);
    const plan = await planMemory(gpu, { ...request, available });
    onPlan?.(plan);
    const tiles = tuned && tileLookup(tuned, gpu);
    const { context } = plan;
    const options = ({ folder, choice, rows }: ModelMemory): LoadModelOptions => ({
      shared: { pages: plan.shared.pages, statePages: plan.shared.statePages, rows },
      precision: precisionOf(choice, request, readConfig(folder)),
      context,
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
