/** Options that several commands share. */

import { InvalidArgumentError, Option } from "commander";
import { EMBEDDED_TARGET } from "../engine/embedded_models.ts";

/** `--model DIR` */
export function modelOption(): Option {
  return new Option("-m, --model <dir>", "model folder in Hugging Face layout")
    .default(EMBEDDED_TARGET, "the embedded tiny-target");
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
