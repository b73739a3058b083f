/** Training by LLaDA's own objective: masked tokens are predicted from the others. */

import type { Gpu } from "../gpu/device.ts";
import { CROSS_ENTROPY } from "./pass/training_loss.ts";
import type { TrainingPlan } from "./plan.ts";
import { type OpenedRun, openRun, planOf } from "./run/opened_run.ts";
import { startWith } from "./run/start.ts";
import type { TrainSettings } from "./run/settings.ts";

/** Plans a training run. @throws {GpuError} when it does not fit, saying what would */
export async function planTrain(
  gpu: Gpu,
  settings: TrainSettings,
  gpuMemory?: number,
): Promise<TrainingPlan> {
  return await planOf(gpu, settings, settings.from, { gpuMemory });
}

/** Opens a training run; see {@linkcode openRun}. */
export async function openTrain(
  gpu: Gpu,
  settings: TrainSettings & { readonly rows: number; readonly keepActivations: boolean },
): Promise<OpenedRun> {
  if (settings.lora && settings.start !== "folder") {
    throw new Error("lora is for weights that are kept: leave --lora out, or --start");
  }
  return await openRun(
    gpu,
    settings.from,
    settings,
    () => Promise.resolve({ loss: CROSS_ENTROPY }),
    (parameters) => startWith(settings.start, parameters, settings.seed),
  );
}
