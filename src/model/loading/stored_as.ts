/** How the weights of a model folder are stored. */

import { INDEX_FILE, openCheckpoint } from "../../weights/checkpoint.ts";
import type { ModelConfig } from "./config.ts";

export { INDEX_FILE };

/** The quantisation of a folder, or the type in which most bytes of its weights are stored. */
export function storedAs(dir: string, { quantisation }: ModelConfig): string {
  if (quantisation) return quantisation.scheme.name;
  using checkpoint = openCheckpoint(dir);
  const bytes = new Map<string, number>();
  for (const { dtype, byteLength } of checkpoint.tensors.values()) {
    bytes.set(dtype, (bytes.get(dtype) ?? 0) + byteLength);
  }
  const [most] = [...bytes].toSorted(([, a], [, b]) => b - a);
  return most?.[0] ?? "";
}
