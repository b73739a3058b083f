/** Options that a command would ignore are refused: who gives one expects that it does something. */

import type { Command } from "commander";

/**
 * Refuses options that are given on the command line and would not be used.
 * @param names their names among the command's flags
 * @param because when they are not used, as in `without --weights`
 * @throws {Error} naming the first of them
 */
export function refuseIgnored(command: Command, names: readonly string[], because: string): void {
  for (const name of names) {
    if (command.getOptionValueSource(name) !== "cli") continue;
    const option = command.options.find((one) => one.attributeName() === name);
    throw new Error(`${option?.long ?? name} is not used ${because}: leave it out`);
  }
}

/** Refuses all options but these, and those of the device and of the help. */
export function refuseAllBut(command: Command, used: readonly string[], because: string): void {
  const known = [...used, ...DEVICE_FLAGS];
  const others = command.options.map((option) => option.attributeName())
    .filter((name) => !known.includes(name));
  refuseIgnored(command, others, because);
}

/** Flags of the options that choose the device. */
export const DEVICE_FLAGS: readonly string[] = ["gpu", "adapter", "kernelForm"];

/**
 * Refuses what no command uses together: options of a draft that is not loaded, and of quantising
 * weights that stay as they are.
 * @throws {Error} naming the option
 */
export function refuseContradictions(command: Command): void {
  const { draft, weights } = command.opts();
  if (draft === false) refuseIgnored(command, ["draftWeights"], "with --no-draft");
  const isQuantised = typeof weights === "string" && /^q\d/.test(weights);
  if (weights !== undefined && !isQuantised) {
    refuseIgnored(command, ["group", "head"], `with --weights ${weights}`);
  }
}
