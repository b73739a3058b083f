/** Keys and values that are kept between forward passes. */

import { type Gpu, GpuError } from "../gpu/device.ts";
import { type Element, elementBytes } from "../gpu/kernel.ts";
import { createTensor } from "../gpu/tensor.ts";
import type { ModelConfig } from "./loading/config.ts";
import { headShape, type KvCache } from "./forward_pass.ts";

/**
 * What keys and values are kept as on a device.
 * @param asked default: f16 where the device has it, else f32
 * @throws {GpuError} when the device has no f16 and it is asked for
 */
export function keptElement(
  { name, features }: Pick<Gpu, "name" | "features">,
  asked?: Element,
): Element {
  const hasF16 = features.includes("shader-f16");
  if (asked === "f16" && !hasF16) {
    throw new GpuError(
      `${name} cannot keep keys and values in f16: it has no shader-f16. Keep them in f32 ` +
        "(--kv-cache f32).",
    );
  }
  return asked ?? (hasF16 ? "f16" : "f32");
}

/**
 * Buffers for the keys and values of `rows` rows in every layer.
 * @throws {GpuError} when a layer's do not fit one binding
 */
export function createKvCache(
  gpu: Gpu,
  config: ModelConfig,
  rows: number,
  element: Element,
): KvCache {
  const { kvHeads, headStride } = headShape(config);
  const words = rows * kvHeads * headStride * elementBytes(element) / 4;
  return {
    element,
    layers: Array.from({ length: config.layers }, (_, layer) => ({
      k: createTensor(gpu, `keys ${layer}`, words),
      v: createTensor(gpu, `values ${layer}`, words),
    })),
  };
}
