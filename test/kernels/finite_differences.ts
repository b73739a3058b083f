/** Checks gradients in plain loops against central differences, both in 64-bit floats. */

import { assertAlmostEquals, assertEquals } from "@std/assert";
import { Random } from "./random.ts";

/** Variables or gradients by name. */
export type Named = Readonly<Record<string, Float64Array>>;

/** A function of several variables, and what is said to be its gradient. */
export interface Differentiable {
  /** Where the gradient is taken. */
  readonly variables: Named;
  /** The function; it must not change the variables. */
  value(variables: Named): number;
  /** For every variable, of the same length. */
  readonly gradients: Named;
}

/** Entries of a variable that are moved one by one; all of them are moved together in any case. */
const ENTRIES = 12;
/** How far an entry is moved, relative to its size. */
const STEP = 1e-5;
/** The error of a central difference grows with the square of the step, and with rounding over it. */
const TOLERANCE = 2e-6;

/** A function whose gradient is the gradient of `sum(weights * outputs)`, for a kernel of several outputs. */
export function weightedSum(outputs: Float64Array, weights: ArrayLike<number>): number {
  assertEquals(outputs.length, weights.length, "outputs and their gradients");
  return outputs.reduce((sum, output, i) => sum + output * weights[i], 0);
}

/**
 * Throws where a derivative differs from the central difference: along some entries of each variable,
 * chosen by the seed, and along a random direction, which no wrong entry escapes.
 */
export function assertGradients(
  { variables, value, gradients }: Differentiable,
  seed: string,
): void {
  assertEquals(Object.keys(gradients).sort(), Object.keys(variables).sort());
  const random = new Random(seed);
  for (const [name, at] of Object.entries(variables)) {
    const gradient = gradients[name];
    assertEquals(gradient.length, at.length, `entries of the gradient of ${name}`);
    if (at.length === 0) continue;
    /** Compares the derivative along `direction`, by entry. */
    const compare = (what: string, direction: ReadonlyMap<number, number>) => {
      const moved = (by: number) => {
        const there = Float64Array.from(at);
        for (const [i, along] of direction) there[i] += by * along;
        return value({ ...variables, [name]: there });
      };
      const size = Math.max(1, ...[...direction.keys()].map((i) => Math.abs(at[i])));
      const step = STEP * size;
      const [ahead, behind] = [moved(step), moved(-step)];
      let expected = 0;
      let terms = 0;
      for (const [i, along] of direction) {
        expected += gradient[i] * along;
        terms += (gradient[i] * along) ** 2;
      }
      const allowed = TOLERANCE * Math.max(1, Math.sqrt(terms), Math.abs(ahead));
      assertAlmostEquals(
        (ahead - behind) / (2 * step),
        expected,
        allowed,
        `derivative ${what}: the difference is ${(ahead - behind) / (2 * step)}, not ${expected}`,
      );
    };
    const entries = at.length <= ENTRIES
      ? at.keys()
      : Array.from({ length: ENTRIES }, () => random.integer(at.length));
    for (const i of entries) compare(`by ${name}[${i}]`, new Map([[i, 1]]));
    const normal = Array.from(at, () => random.normal());
    const length = Math.hypot(...normal);
    compare(`along ${name}`, new Map(normal.map((along, i) => [i, along / length])));
  }
}
