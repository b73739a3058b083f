/** Options that several commands share. */

import { fileURLToPath } from "node:url";
import { InvalidArgumentError, Option } from "commander";

/** The folder of the embedded target, which every command that runs a model uses by default. */
export const EMBEDDED_MODEL = fileURLToPath(
  new URL("../../models/tiny-target/", import.meta.url),
);

/** `--model DIR` */
export function modelOption(): Option {
  return new Option("-m, --model <dir>", "model folder in Hugging Face layout")
    .default(EMBEDDED_MODEL, "the embedded tiny-target");
}

/** Parses a whole number in [least, most]; commander shows the error with the option's name. */
export function wholeNumber(
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`);
  };
}

/** Parses a number in [least, most]. */
export function numberBetween(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a number from ${least} to ${most}`);
  };
}
