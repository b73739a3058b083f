/** The cache of keys and values between forward passes. */

import { type Gpu, GpuError } from "../gpu/device.ts";
import { type Element, elementBytes } from "../gpu/kernel.ts";
import { createTensor } from "../gpu/tensor.ts";
import type { ModelConfig } from "./loading/config.ts";
import { headShape, type KvCache } from "./forward_pass.ts";

/**
 * The type that keys and values are kept in on a device.
 * @param asked the wanted type; default: f16 if the device has it, else f32
 * @throws {GpuError} when f16 is wanted and the device does not have it
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
 * Creates buffers for the keys and values of `rows` rows in every layer.
 * @throws {GpuError} when the buffer of a layer does not fit one binding
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
