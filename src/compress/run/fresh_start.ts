/** Random weights for a training run that begins without any. */

import { hash, uniform } from "../../denoise/noise.ts";
import type { TrainingParameters } from "../pass/parameters.ts";

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

/**
 * Replaces all weights by random ones; norms become 1.
 * @returns what was drawn for a tensor, `[product of shape]`
 */
export function startFresh(
  parameters: TrainingParameters,
  seed: number,
): (name: string) => Float32Array<ArrayBuffer> {
  const places = new Map(parameters.list.map(({ name }, index) => [name, index]));
  const drawn = (name: string) => {
    const { shape } = parameters.get(name).layout;
    if (shape.length === 1) return new Float32Array(shape[0]).fill(1);
    const [out, inner] = shape;
    // Uniform numbers of a deviation reach the root of 3 times as far.
    const bound = Math.sqrt(3) * deviationOf(name, inner, parameters.config.layers);
    const index = places.get(name)!;
    const draw = (_: unknown, i: number) => bound * (2 * uniform(hash(seed, START, index, i)) - 1);
    return Float32Array.from({ length: out * inner }, draw);
  };
  for (const { name } of parameters.list) parameters.set(name, drawn(name));
  return drawn;
}
