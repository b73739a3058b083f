/** Training by LLaDA's own objective: masked tokens are predicted from the others. */

import type { Gpu } from "../gpu/device.ts";
import { CROSS_ENTROPY } from "./pass/training_loss.ts";
import type { TrainingPlan } from "./plan.ts";
import { checkStudent, type OpenedRun, openRun, planOf } from "./run/opened_run.ts";
import { startFresh } from "./run/start.ts";
import type { TrainSettings } from "./run/settings.ts";

/** Plans a training run. @throws {GpuError} when it does not fit, saying what would */
export function planTrain(gpu: Gpu, settings: TrainSettings, gpuMemory?: number): TrainingPlan {
  return planOf(gpu, settings, checkStudent(settings.from, settings), { gpuMemory });
}

/** Opens a training run; see {@linkcode openRun}. */
export async function openTrain(
  gpu: Gpu,
  settings: TrainSettings & { readonly rows: number; readonly keepActivations: boolean },
): Promise<OpenedRun> {
  return await openRun(
    gpu,
    settings.from,
    settings,
    () => Promise.resolve({ loss: CROSS_ENTROPY }),
    settings.start === "fresh" ? (parameters) => startFresh(parameters, settings.seed) : undefined,
  );
}
