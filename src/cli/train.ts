/** `unmask train`: trains a model by LLaDA's own objective. */

import { Command, Option } from "commander";
import { START_NAMES } from "../compress/run/start.ts";
import { openTrain, planTrain } from "../compress/train.ts";
import { completed, trainSettings } from "../compress/run/settings.ts";
import { runTraining } from "./training.ts";
import { addTrainingOptions, givenSettings, type TrainingFlags } from "./training_options.ts";

interface TrainFlags extends TrainingFlags {
  readonly from?: string;
  readonly start?: string;
}

/** `unmask train` */
export function trainCommand(): Command {
  const command = new Command("train")
    .option("--from <dir>", "model folder to begin with, such as synth writes")
    .addOption(
      new Option("--start <name>", "weights to begin with (default: those of the folder)")
        .choices(START_NAMES),
    );
  return addTrainingOptions(command)
    .addHelpText(
      "after",
      `
Answers are learnt where the data has prompts, whole texts where it has none.
Mask ratios are uniform and a token counts 1/ratio, as LLaDA was trained.

Example:
  unmask train --from models/tiny-target --data train.jsonl --tokens 1000000 \\
    --held-out heldout.jsonl --optimizer muon --rate 0.004 --out trained`,
    )
    .action(run);
}

async function run(flags: TrainFlags): Promise<void> {
  const { from, start } = flags;
  const where = flags.settings ?? "train";
  const settings = completed(trainSettings, givenSettings(flags, { from, start }), where);
  await runTraining(
    { command: "train", settings, student: settings.from, plan: planTrain, open: openTrain },
    flags,
  );
}
