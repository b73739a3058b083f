/** Weights that a training run begins with, where they are not those of its folder. */

import { hash, uniform } from "../../denoise/noise.ts";
import type { TrainingParameters } from "../pass/parameters.ts";

/** Where the first weights come from: the folder, or a seeded random generator. */
export const START_NAMES = ["folder", "fresh"] as const;
/** One of {@linkcode START_NAMES}. */
export type StartName = typeof START_NAMES[number];

/** Tells these draws from others of the same seed. */
const START = 77;

/** Standard deviation of a matrix's weights, by its name and how many inputs it has. */
function deviationOf(name: string, inner: number, layers: number): number {
  const unit = 1 / Math.sqrt(inner);
  // The residual stream adds up two products a layer: it should not grow with their number.
  if (/\.(attn_out|ff_out)\.weight$/.test(name) && name.includes(".blocks.")) {
    return unit / Math.sqrt(2 * layers);
  }
  return unit;
}

/** Replaces all weights by random ones; norms become 1. */
export function startFresh(parameters: TrainingParameters, seed: number): void {
  for (const [index, { name, layout: { shape } }] of parameters.list.entries()) {
    if (shape.length === 1) {
      parameters.set(name, new Float32Array(shape[0]).fill(1));
      continue;
    }
    const [out, inner] = shape;
    // Uniform numbers of a deviation reach the root of 3 times as far.
    const bound = Math.sqrt(3) * deviationOf(name, inner, parameters.config.layers);
    const draw = (_: unknown, i: number) => bound * (2 * uniform(hash(seed, START, index, i)) - 1);
    parameters.set(name, Float32Array.from({ length: out * inner }, draw));
  }
}
