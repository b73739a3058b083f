/** Keys and values that the reference model keeps between passes. */

import type { Element } from "../../src/gpu/kernel.ts";

/** The largest f16. */
const MOST_F16 = 65504;

/** Rotated keys, and values, of every layer: `[kvHeads, length, head size]`. */
export type KeptKeys = { k: Float64Array; v: Float64Array }[];

/** Keys and values kept between passes. */
export interface KeptPart {
  /** Overwritten with what the pass used. */
  readonly kept: KeptKeys;
  /** Positions whose keys and values are fresh, `[first, end)`; the others are those kept. */
  readonly first: number;
  readonly end: number;
  /** What keys and values are kept, and read, as; default f32, which changes none of them. */
  readonly element?: Element;
}

/** Puts what was kept in place of keys and values outside the part, and keeps the outcome. */
export function keepOutside(
  { kept, first, end, element }: KeptPart,
  layer: number,
  fresh: KeptKeys[number],
  length: number,
  headSize: number,
): void {
  for (const name of ["k", "v"] as const) {
    if (element === "f16") {
      fresh[name].forEach((value, i) => {
        fresh[name][i] = Math.f16round(Math.max(-MOST_F16, Math.min(MOST_F16, value)));
      });
    }
    for (let row = 0; row * headSize < fresh[name].length; row++) {
      const position = row % length;
      if (position >= first && position < end) continue;
      const at = row * headSize;
      fresh[name].set(kept[layer][name].subarray(at, at + headSize), at);
    }
  }
  kept[layer] = fresh;
}
