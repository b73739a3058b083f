/** Options for what requests that run side by side share. */

import type { Command } from "commander";
import { wholeNumber } from "./options.ts";

/** Adds `--batch-rows` and `--cache-pages`: what requests that run side by side share. */
export function addSharedOptions(command: Command): Command {
  return command
    .option(
      "--batch-rows <n>",
      "rows of a pass that requests share, at least the longest answer's (default: 512)",
      wholeNumber(1),
    )
    .option(
      "--cache-pages <n>",
      "pages of 32 positions kept for all requests (default: for 16 answers, if they fit)",
      wholeNumber(1),
    );
}
