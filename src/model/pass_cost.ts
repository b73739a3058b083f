/** What a forward pass costs by its configuration, to compare a draft with its target. */

import type { ModelConfig } from "./model_config.ts";

type Shape = Pick<
  ModelConfig,
  "hiddenSize" | "kvHeads" | "headDim" | "ffnSize" | "layers" | "embeddingSize"
>;

/** Multiplications of one row in a layer's matrices; those of attention, which depend on keys, are left out. */
export function layerMultiplications({ hiddenSize, kvHeads, headDim, ffnSize }: Shape): number {
  return 2 * hiddenSize * (hiddenSize + kvHeads * headDim) + 3 * hiddenSize * ffnSize;
}

/** Multiplications of one row in all matrices, with the head. */
export function passMultiplications(shape: Shape): number {
  return shape.layers * layerMultiplications(shape) + shape.hiddenSize * shape.embeddingSize;
}

/** Share of a target's pass that a draft's pass costs, in multiplications. */
export function passShare(draft: Shape, target: Shape): number {
  return passMultiplications(draft) / passMultiplications(target);
}
