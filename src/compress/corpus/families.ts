/** Which families a corpus is drawn from. */

import { FAMILIES } from "./corpus.ts";
import { DENSE } from "./dense.ts";
import { repeatFamily } from "./repeat.ts";
import type { Family } from "./task.ts";

/** Changes of the families of models/CORPUS.md. */
export interface FamilyChoice {
  /** Adds the families that use more of a model. */
  readonly dense?: boolean;
  /** Share of `text/repeat`, from 0 to 1. */
  readonly repeat?: number;
  /** How many times as often a family is drawn, by its name. */
  readonly times?: Readonly<Record<string, number>>;
}

/**
 * The families of a corpus, with their weights.
 * @throws {Error} when `times` names a family that is not there, or nothing is left to draw
 */
export function familiesFor({ dense = false, repeat = 0, times = {} }: FamilyChoice): Family[] {
  const chosen = dense ? [...FAMILIES, ...DENSE] : FAMILIES;
  for (const name of Object.keys(times)) {
    if (chosen.some((family) => family.name === name)) continue;
    throw new Error(
      `there is no family ${name}, expected one of ${chosen.map(({ name }) => name).join(", ")}`,
    );
  }
  const weighted = chosen
    .map((family) => ({ ...family, weight: family.weight * (times[family.name] ?? 1) }))
    .filter(({ weight }) => weight > 0);
  const sum = weighted.reduce((sum, { weight }) => sum + weight, 0);
  const shared = repeat >= 1
    ? []
    : weighted.map((family) => ({ ...family, weight: family.weight / sum * (1 - repeat) }));
  const families = repeat > 0 ? [...shared, repeatFamily(chosen, repeat)] : shared;
  if (families.length === 0) throw new Error("every family is drawn 0 times");
  return families;
}
