/** `unmask eval agreement`: how far a quantised, pruned or draft model departs from another. */

import { Command, Option } from "commander";
import { EVAL_PUBLIC } from "../engine/embedded_models.ts";
import { ARITHMETICS } from "../gpu/kernel.ts";
import { QUANTISED } from "../quant/scheme.ts";
import { addDeviceOptions } from "./device_options.ts";
import { type AgainstFlags, runAgainst } from "./eval_against.ts";
import { type DraftFlags, runDraft } from "./eval_draft.ts";
import { refuseIgnored } from "./ignored_options.ts";
import {
  addSchemeOptions,
  kvCacheOption,
  measuredTuningOption,
  modelOption,
  wholeNumber,
} from "./options.ts";

/** Options of one of the two ways only. */
const AGAINST_ONLY = ["against", "random", "arithmetic", "kvCache"];
const DRAFT_ONLY = ["response", "answers", "seed", "out"];

/** `unmask eval agreement` */
export function agreementCommand(): Command {
  const command = new Command("agreement")
    .description(
      "Compares a model with its original in the states of its answers, or with --draft a draft " +
        "with its target on answers of the data that are masked at random.",
    )
    .addOption(modelOption())
    .option("--draft <dir>", "folder of a draft, which is compared with the model as its target")
    .option("--against <dir>", "folder of the original (default: the model as it is stored)")
    .addOption(
      new Option("--weights <scheme>", "quantise the model while it loads, and its draft")
        .choices(QUANTISED),
    );
  return addDeviceOptions(addSchemeOptions(command))
    .addOption(
      new Option("--arithmetic <type>", "type the model multiplies in (default: f32)")
        .choices(ARITHMETICS),
    )
    .addOption(
      kvCacheOption(
        "type of the keys and values that the model keeps; the original keeps f32 (default: none)",
      ),
    )
    .addOption(measuredTuningOption())
    .addOption(
      new Option(
        "--data <file...>",
        "prompts with answers: jsonl, or laid out like models/eval-public.json",
      ).default([EVAL_PUBLIC], "models/eval-public.json"),
    )
    .option(
      "--random <n>",
      "n prompts of random tokens instead: needs no tokenizer",
      wholeNumber(1),
    )
    .option("--limit <n>", "only the first n prompts (default with --draft: 64)", wholeNumber(1))
    .option("--max-tokens <n>", "tokens in an answer (default: the folder's)", wholeNumber(1))
    .option(
      "--steps <n>",
      "denoising steps per answer (default: one per four tokens, with --draft one per token)",
      wholeNumber(1),
    )
    .option("--response <n>", "length to which masked answers are padded", wholeNumber(1), 64)
    .option(
      "--answers <n>",
      "prompts that the target answers, to count accepted tokens; 0: none",
      wholeNumber(0),
      16,
    )
    .option("--seed <n>", "seed of the masks", wholeNumber(0), 0)
    .option(
      "--out <dir>",
      "folder for agreement.json, agreement.md and calibration.png; it also keeps what is " +
        "finished, from which an interrupted run goes on when it is repeated",
    )
    .option("--json", "print one JSON object instead of a table")
    .addHelpText(
      "after",
      `
Examples:
  unmask eval agreement --draft models/tiny-draft --out draft-figures
  unmask eval agreement --weights q4 --group 64
  unmask eval agreement --model models/small-q4 --against models/small
  unmask eval agreement --kv-cache f16`,
    )
    .action(async (flags: AgainstFlags & DraftFlags, command: Command) => {
      const { draft } = flags;
      refuseIgnored(
        command,
        draft === undefined ? DRAFT_ONLY : AGAINST_ONLY,
        draft === undefined ? "without --draft" : "with --draft",
      );
      await (draft === undefined ? runAgainst(flags, command) : runDraft({ ...flags, draft }));
    });
}
