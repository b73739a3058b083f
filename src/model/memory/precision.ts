/** The precisions that a model may be loaded in, in the order in which they are tried. */

import { GpuError } from "../../gpu/device.ts";
import type { Arithmetic } from "../../gpu/kernel.ts";
import { GROUP_SIZES, QUANTISED, quantised } from "../../quant/scheme.ts";
import type { ModelConfig } from "../loading/config.ts";
import type { WeightPrecision } from "../loading/upload.ts";
import {
  isStored,
  type MemoryOptions,
  type Pair,
  type PlanRequest,
  WEIGHT_CHOICES,
  type WeightChoice,
} from "./plan_request.ts";

/** Turns a choice into the loader's precision. */
export function precisionOf(
  choice: WeightChoice | undefined,
  { arithmetic, group = GROUP_SIZES[0], head = false }: Pick<
    MemoryOptions,
    "arithmetic" | "group" | "head"
  >,
  config: ModelConfig,
): WeightPrecision {
  // A folder that is already quantised keeps its own group size.
  const stored = choice === undefined || isStored(choice) ||
    choice === config.quantisation?.scheme.name;
  const layers = stored ? undefined : quantised(choice, group);
  return { layers, head: head ? layers : undefined, arithmetic };
}

/** Pairs of target and draft precision, in the order in which they are tried. */
export function* pairsOf(
  { target, draft, weights, draftWeights, arithmetic }: PlanRequest,
  configOf: (folder: string) => ModelConfig,
): Generator<Pair> {
  for (const choice of choicesOf(configOf(target), weights, arithmetic)) {
    if (draft === undefined) yield { target: choice };
    else {
      const largest = WEIGHT_CHOICES.indexOf(choice);
      const choices = choicesOf(configOf(draft), draftWeights, arithmetic);
      const smaller = choices.filter((other) => WEIGHT_CHOICES.indexOf(other) >= largest);
      const allowed = draftWeights || smaller.length === 0 ? choices : smaller;
      for (const other of allowed) yield { target: choice, draft: other };
    }
  }
}

/** The choices for a folder; a quantised folder only loads as it is stored. */
export function choicesOf(
  { quantisation }: ModelConfig,
  named: WeightChoice | undefined,
  arithmetic: Arithmetic | undefined,
): readonly WeightChoice[] {
  if (named) return [named];
  if (quantisation) return WEIGHT_CHOICES.filter(isStored);
  return arithmetic === "int8" ? QUANTISED : WEIGHT_CHOICES;
}

/** Checks the named weights. @throws {GpuError} for arithmetic that they do not support */
export function checkChoices(
  { target, draft, weights, draftWeights, arithmetic }: PlanRequest,
  configOf: (folder: string) => ModelConfig,
): void {
  if (arithmetic !== "int8") return;
  const named = [[target, weights, "--weights"], [draft, draftWeights, "--draft-weights"]] as const;
  for (const [folder, choice, option] of named) {
    if (folder === undefined || choice === undefined || !isStored(choice)) continue;
    if (configOf(folder).quantisation) continue;
    throw new GpuError(
      `Arithmetic int8 multiplies quantised weights, and ${nameOf(folder)} as stored has none. ` +
        `Ask for ${option} ${QUANTISED.join(" or ")}, or for arithmetic f32.`,
    );
  }
}

/** Name of a folder in messages. */
export function nameOf(folder: string): string {
  return folder.split(/[/\\]/).findLast((part) => part !== "") ?? folder;
}
