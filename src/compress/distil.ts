/** Distillation: a student learns to choose its teacher's tokens. */

import { join } from "node:path";
import type { Gpu } from "../gpu/device.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { loadModel } from "../model/loading/load.ts";
import { readConfig } from "../model/loading/config.ts";
import type { ModelConfig } from "../model/model_config.ts";
import { isThere } from "../weights/json_file.ts";
import { ModelTeacher } from "./pass/model_teacher.ts";
import { DistilLoss } from "./pass/training_loss.ts";
import type { TrainingPlan } from "./plan.ts";
import { checkStudent, loadedBytes, type OpenedRun, openRun, planOf } from "./run/opened_run.ts";
import type { DistilSettings } from "./run/settings.ts";

/** Plans a distillation. @throws {GpuError} when it does not fit, {@linkcode Error} for other models */
export async function planDistil(
  gpu: Gpu,
  settings: DistilSettings,
  gpuMemory?: number,
): Promise<TrainingPlan> {
  const student = checkStudent(settings.student, settings);
  const config = readConfig(settings.teacher);
  checkComparable(config, student, settings);
  const weightBytes = await loadedBytes(gpu, settings.teacher, config);
  const teacher = { config, weightBytes };
  return await planOf(gpu, settings, settings.student, { teacher, gpuMemory });
}

/** Opens a distillation; see {@linkcode openRun}. */
export async function openDistil(
  gpu: Gpu,
  settings: DistilSettings & { readonly rows: number; readonly keepActivations: boolean },
): Promise<OpenedRun> {
  using opened = new DisposableStack();
  const { ce, kl, mse, direction, temperature, top } = settings.loss;
  const run = await openRun(gpu, settings.student, settings, async (space) => {
    const model = opened.use(await loadModel(gpu, settings.teacher));
    const source = opened.use(new ModelTeacher(space, model));
    const terms = { ce, kl, mse, direction, temperature };
    return { loss: new DistilLoss(space, source, { count: top, terms }), teacher: model };
  });
  opened.use(run);
  const closing = opened.move();
  return { ...run, [Symbol.dispose]: () => closing.dispose() };
}

function checkComparable(
  teacher: ModelConfig,
  student: ModelConfig,
  settings: Pick<DistilSettings, "teacher" | "student">,
): void {
  for (const field of ["embeddingSize", "maskTokenId", "eosTokenId"] as const) {
    if (teacher[field] === student[field]) continue;
    throw new Error(
      `${settings.student}: ${field} is ${student[field]}, expected ${teacher[field]} as in ` +
        `${settings.teacher}. Teacher and student must have one vocabulary.`,
    );
  }
  checkTokenizers(settings, student);
}

/** Files that say which token an id is. */
const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "added_tokens.json",
  "special_tokens_map.json",
];

function checkTokenizers(
  settings: Pick<DistilSettings, "teacher" | "student">,
  { embeddingSize }: ModelConfig,
): void {
  const textOf = (path: string) => isThere(path) ? Deno.readTextFileSync(path) : "";
  const isSame = TOKENIZER_FILES.every((name) =>
    textOf(join(settings.teacher, name)) === textOf(join(settings.student, name))
  );
  if (isSame) return;
  const [right, own] = [settings.teacher, settings.student]
    .map((dir) => loadTokenizer(dir, embeddingSize));
  for (let id = 0; id < embeddingSize; id++) {
    const [expected, found] = [right, own].map((one) => JSON.stringify(one.tokenText(id)));
    if (expected === found) continue;
    throw new Error(
      `${settings.student}: token ${id} is ${found}, expected ${expected} as in ` +
        `${settings.teacher}. Teacher and student must have one tokenizer.`,
    );
  }
}
