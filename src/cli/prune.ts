/** `unmask prune`: what a model can do without, and a model without it. */

import { Command } from "commander";
import { analyseCommand } from "./prune_analyse.ts";
import { applyCommand } from "./prune_apply.ts";

/** `unmask prune` */
export function pruneCommand(): Command {
  return new Command("prune")
    .addCommand(analyseCommand().exitOverride())
    .addCommand(applyCommand().exitOverride());
}
