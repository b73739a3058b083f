/** Keys and values that are kept between forward passes. */

import type { Gpu } from "../gpu/device.ts";
import { createTensor } from "../gpu/tensor.ts";
import type { ModelConfig } from "./loading/config.ts";
import { headShape, type KvCache } from "./forward_pass.ts";

/**
 * Buffers for the keys and values of `rows` rows in every layer, in f32.
 * @throws {GpuError} when a layer's do not fit one binding
 */
export function createKvCache(gpu: Gpu, config: ModelConfig, rows: number): KvCache {
  const { kvHeads, headStride } = headShape(config);
  const elements = rows * kvHeads * headStride;
  return {
    layers: Array.from({ length: config.layers }, (_, layer) => ({
      k: createTensor(gpu, `keys ${layer}`, elements),
      v: createTensor(gpu, `values ${layer}`, elements),
    })),
  };
}
