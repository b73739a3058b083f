/** What a training run begins with, by name. */

import type { TrainingParameters } from "../pass/parameters.ts";
import { startFresh } from "./fresh_start.ts";
import { startStructured } from "./structured_start.ts";

/** The folder's weights, random ones, or random ones that can copy already. */
export const START_NAMES = ["folder", "fresh", "structured"] as const;
/** One of {@linkcode START_NAMES}. */
export type StartName = typeof START_NAMES[number];

/** Replaces the weights, unless the folder's are asked for. */
export function startWith(name: StartName, parameters: TrainingParameters, seed: number): void {
  if (name === "fresh") startFresh(parameters, seed);
  if (name === "structured") startStructured(parameters, seed);
}
