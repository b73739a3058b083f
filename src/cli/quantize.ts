/** `unmask quantize`: a model folder with its matrices as codes and scales. */

import { resolve } from "node:path";
import { Command, Option } from "commander";
import { quantisedFolder } from "../model/loading/quantised_folder.ts";
import { type GroupSize, QUANTISED, type QuantisedName } from "../quant/scheme.ts";
import { addSchemeOptions, addShardOption, quantisationOf } from "./options.ts";
import { writeWithReport } from "./write_folder.ts";

interface QuantizeFlags {
  readonly to: QuantisedName;
  readonly out: string;
  readonly group: GroupSize;
  readonly head?: boolean;
  readonly shardSize: number;
}

/** `unmask quantize` */
export function quantizeCommand(): Command {
  const command = new Command("quantize")
    .argument("<dir>", "model folder in Hugging Face layout, with float weights")
    .addOption(
      new Option("--to <scheme>", "8 or 4 bits per weight, and an f16 scale per group")
        .choices(QUANTISED).makeOptionMandatory(),
    )
    .requiredOption(
      "--out <dir>",
      "folder to write; an interrupted run goes on when it is started again",
    );
  return addShardOption(addSchemeOptions(command))
    .addHelpText(
      "after",
      `
Embedding, norms and, without --head, the output head stay as they are stored. The new folder loads
without the original, and gives the very answers that quantising at load gives.

Example:
  unmask quantize ~/models/LLaDA-8B-Instruct --to q4 --out ~/models/8B-q4`,
    )
    .action(run);
}

async function run(
  dir: string,
  { to, group, head, out, shardSize }: QuantizeFlags,
): Promise<void> {
  const quantisation = quantisationOf({ weights: to, group, head })!;
  using folder = quantisedFolder(resolve(dir), { ...quantisation, shardBytes: shardSize });
  await writeWithReport(out, folder);
}
