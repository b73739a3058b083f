/** `unmask distil`: a student learns to choose its teacher's tokens. */

import { Command, Option } from "commander";
import { openDistil, planDistil } from "../compress/distil.ts";
import { completed, distilSettings, type Given } from "../compress/run/settings.ts";
import { KL_DIRECTIONS } from "../kernels/distil_loss.ts";
import { numberBetween, wholeNumber } from "./options.ts";
import { runTraining } from "./training.ts";
import {
  addTrainingOptions,
  givenSettings,
  numbers,
  type TrainingFlags,
} from "./training_options.ts";

interface DistilFlags extends TrainingFlags {
  readonly teacher?: string;
  readonly student?: string;
  readonly loss?: readonly [number, number, number];
  readonly kl?: string;
  readonly temperature?: number;
  readonly top?: number;
}

/** `unmask distil` */
export function distilCommand(): Command {
  const command = new Command("distil")
    .option("--teacher <dir>", "model folder to learn from")
    .option("--student <dir>", "model folder to begin with, such as prune apply writes");
  return addTrainingOptions(command)
    .option(
      "--loss <ce,kl,mse>",
      "shares of cross-entropy, divergence and squared difference (default: 0.5,0.3,0.2)",
      numbers(3, 0, Number.MAX_VALUE),
    )
    .addOption(
      new Option("--kl <direction>", "whose distribution the divergence averages over")
        .choices(KL_DIRECTIONS),
    )
    .option(
      "--temperature <x>",
      "of both distributions in the divergence",
      numberBetween(0.01, 100),
    )
    .option("--top <n>", "the teacher's tokens that it compares (default: 32)", wholeNumber(1, 64))
    .addHelpText(
      "after",
      `
Weights of the best evaluation are written. The run's folder holds checkpoints,
the history, its picture and its settings; a run that was killed goes on bit for
bit when the same command is given.

Example:
  unmask distil --teacher models/tiny-target --student pruned --out draft \\
    --data train.jsonl --held-out heldout.jsonl --tokens 2500000`,
    )
    .action(run);
}

async function run(flags: DistilFlags): Promise<void> {
  const { teacher, student, loss, kl, temperature, top } = flags;
  const [ce, divergence, mse] = loss ?? [];
  const own: Given = {
    teacher,
    student,
    loss: { ce, kl: divergence, mse, direction: kl, temperature, top },
  };
  const where = flags.settings ?? "distil";
  const settings = completed(distilSettings, givenSettings(flags, own), where);
  await runTraining({
    command: "distil",
    settings,
    student: settings.student,
    teacher: settings.teacher,
    plan: planDistil,
    open: openDistil,
  }, flags);
}
