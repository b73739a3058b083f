/** Weight formats: their layout on the GPU, and how a shader converts them to f32. */

import bf16Snippet from "../../shaders/lib/load_weight_bf16.wgsl" with { type: "text" };
import f16Snippet from "../../shaders/lib/load_weight_f16.wgsl" with { type: "text" };
import f32Snippet from "../../shaders/lib/load_weight_f32.wgsl" with { type: "text" };
import q4Snippet from "../../shaders/lib/load_weight_q4.wgsl" with { type: "text" };
import q8Snippet from "../../shaders/lib/load_weight_q8.wgsl" with { type: "text" };
import scaledWeights from "../../shaders/lib/scaled_weights.wgsl" with { type: "text" };
import weightTexels from "../../shaders/lib/weight_texels.wgsl" with { type: "text" };
import weightUnits from "../../shaders/lib/weight_units.wgsl" with { type: "text" };
import type { DType } from "../gpu/dtype.ts";

/** Schemes whose codes are the weights themselves. */
export const FLOATS = ["f32", "f16", "bf16"] as const;
/** Schemes that have codes and scales, the largest first; each has its own number of bits. */
export const QUANTISED = ["q8", "q4"] as const;
/** Every scheme. */
export const SCHEME_NAMES = [...FLOATS, ...QUANTISED] as const;

/** Name of a scheme. */
export type SchemeName = typeof SCHEME_NAMES[number];
/** Name of a scheme that has codes and scales. */
export type QuantisedName = typeof QUANTISED[number];

/** Group sizes of quantised schemes; the first is the default. */
export const GROUP_SIZES = [32, 64] as const;
/** Number of weights of a column that share a scale. */
export type GroupSize = typeof GROUP_SIZES[number];

/**
 * A weight format. Codes are stored in units `[inner / elementsPerUnit, columns]`, so that lanes
 * that compute neighbouring outputs read neighbouring units. A quantised weight is its code times
 * the scale of its group. Scales are f16, with two consecutive groups per word, `[groups / 2,
 * columns]`.
 */
export interface QuantScheme {
  readonly name: SchemeName;
  /** The safetensors type of stored codes; q4 stores two per byte, the lower half first. */
  readonly dtype: DType;
  /** Bits of a code. */
  readonly bits: 32 | 16 | 8 | 4;
  /** Words of 4 bytes in a unit. */
  readonly unitWords: 1 | 2 | 4;
  /** Number of weights that share a scale; undefined if the codes are the weights themselves. */
  readonly group?: GroupSize;
  /** WGSL that declares `@group(1)` and defines `load_weight8`. */
  readonly snippet: string;
  /** The same for units in a texture; absent where a unit is no texel. */
  readonly texelSnippet?: string;
}

/**
 * Weights that one `load_weight8` returns; inner sizes are padded with zeros to multiples of it.
 */
export const BLOCK = 8;

/** Every scheme, by name; the quantised ones with groups of 32. */
export const SCHEMES: { readonly [Name in SchemeName]: QuantScheme & { readonly name: Name } } = {
  f32: {
    name: "f32",
    dtype: "F32",
    bits: 32,
    unitWords: 4,
    snippet: f32Snippet + weightUnits,
    texelSnippet: f32Snippet + weightTexels,
  },
  f16: {
    name: "f16",
    dtype: "F16",
    bits: 16,
    unitWords: 4,
    snippet: f16Snippet + weightUnits,
    texelSnippet: f16Snippet + weightTexels,
  },
  bf16: {
    name: "bf16",
    dtype: "BF16",
    bits: 16,
    unitWords: 4,
    snippet: bf16Snippet + weightUnits,
    texelSnippet: bf16Snippet + weightTexels,
  },
  q8: {
    name: "q8",
    dtype: "I8",
    bits: 8,
    unitWords: 2,
    group: 32,
    snippet: q8Snippet + scaledWeights,
  },
  q4: {
    name: "q4",
    dtype: "U8",
    bits: 4,
    unitWords: 1,
    group: 32,
    snippet: q4Snippet + scaledWeights,
  },
};

/** A quantised scheme with groups of this size. */
export function quantised(name: QuantisedName, group: GroupSize): QuantScheme {
  return { ...SCHEMES[name], group };
}

/** A scheme as text: `q4 in groups of 32`, or `bf16`. */
export function schemeText({ name, group }: QuantScheme): string {
  return group === undefined ? name : `${name} in groups of ${group}`;
}

/** Weights in a unit. */
export function elementsPerUnit({ bits, unitWords }: QuantScheme): number {
  return 32 * unitWords / bits;
}

/** Override constants of the scheme's snippet. */
export function schemeConstants({ group }: QuantScheme): Record<string, number> {
  return group === undefined ? {} : { GROUP_BLOCKS: group / BLOCK };
}

/** Number of blocks of 8 that hold `inner` weights. */
export function blocksOf(inner: number): number {
  return Math.ceil(inner / BLOCK);
}

/** `inner` rounded up to whole blocks: the row stride of activations for such weights. */
export function paddedInner(inner: number): number {
  return blocksOf(inner) * BLOCK;
}

/** Number of groups in one column, each with a scale; 0 if the scheme has no scales. */
export function groupsOf({ group }: QuantScheme, inner: number): number {
  return group === undefined ? 0 : Math.ceil(inner / group);
}

/** Words of scales of one column. */
export function scaleWords(scheme: QuantScheme, inner: number): number {
  return Math.ceil(groupsOf(scheme, inner) / 2);
}

/** Bytes of the codes of one column (one output) of a matrix with this inner size. */
export function codeBytesPerColumn({ bits }: QuantScheme, inner: number): number {
  return paddedInner(inner) * bits / 8;
}

/** Bytes of one column, scales included. */
export function bytesPerColumn(scheme: QuantScheme, inner: number): number {
  return codeBytesPerColumn(scheme, inner) + 4 * scaleWords(scheme, inner);
}

/** Bytes of one row of codes `[inner]` in a file. */
export function storedRowBytes({ bits }: QuantScheme, inner: number): number {
  return Math.ceil(inner * bits / 8);
}
