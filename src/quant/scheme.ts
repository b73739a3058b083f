/** How weights lie on the GPU and how a shader widens them. */

import bf16Snippet from "../../shaders/lib/load_weight_bf16.wgsl" with { type: "text" };
import f16Snippet from "../../shaders/lib/load_weight_f16.wgsl" with { type: "text" };
import f32Snippet from "../../shaders/lib/load_weight_f32.wgsl" with { type: "text" };

/** A weight format: units of 16 bytes, `[inner / elements, columns]`. */
export interface QuantScheme {
  readonly name: "f32" | "f16" | "bf16";
  /** The safetensors dtype that is stored as it is. */
  readonly dtype: "F32" | "F16" | "BF16";
  /** Weights in a unit of 16 bytes. */
  readonly elementsPerUnit: 4 | 8;
  /** WGSL that declares `@group(1)` and defines `load_weight8`. */
  readonly snippet: string;
}

/** Every scheme, by name. */
export const SCHEMES: Readonly<Record<QuantScheme["name"], QuantScheme>> = {
  f32: { name: "f32", dtype: "F32", elementsPerUnit: 4, snippet: f32Snippet },
  f16: { name: "f16", dtype: "F16", elementsPerUnit: 8, snippet: f16Snippet },
  bf16: { name: "bf16", dtype: "BF16", elementsPerUnit: 8, snippet: bf16Snippet },
};

/** Inner sizes are padded to this many weights, with zeros: what `load_weight8` returns at once. */
export const BLOCK = 8;

/** Blocks of 8 weights that cover `inner` of them. */
export function blocksOf(inner: number): number {
  return Math.ceil(inner / BLOCK);
}

/** `inner` rounded up to whole blocks: the row stride of activations that meet such weights. */
export function paddedInner(inner: number): number {
  return blocksOf(inner) * BLOCK;
}

/** Bytes of one column (one output) of a matrix with this inner size. */
export function bytesPerColumn(scheme: QuantScheme, inner: number): number {
  return 16 * paddedInner(inner) / scheme.elementsPerUnit;
}
