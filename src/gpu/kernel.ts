/** Declares kernels with typed parameters, which are checked against the WGSL on import. */

import type { RowForm } from "./row_form.ts";
import type { Texels } from "./texels.ts";

/** How a kernel uses a storage buffer; `texels` are read from a texture. */
export type Access = "read" | "write" | "texels";
type ScalarType = "u32" | "f32";

/** The declaration of a kernel: what its wrapper says about the shader. */
export interface KernelDeclaration<
  Bindings extends Record<string, Access>,
  Params extends Record<string, ScalarType>,
  Constants extends Record<string, number>,
> {
  /** File name of the shader without `.wgsl`. */
  readonly name: string;
  /** Text of the shader. */
  readonly source: string;
  /** Shared functions, appended after the source so that line numbers in errors are the file's. */
  readonly snippets?: readonly string[];
  /** Storage buffers at `@group(0) @binding(1..)`, in order; binding 0 is `Params`. */
  readonly bindings: Bindings;
  /** Fields of the WGSL `struct Params`, in order. */
  readonly params: Params;
  /** `override` constants and their defaults. */
  readonly constants?: Constants;
  /** Whether the shader calls `load_weight8`; each call adds a scheme's snippet and `@group(1)`. */
  readonly readsWeights?: boolean;
  /**
   * Whether the shader calls `multiply_tile`, for which each call adds the snippet of an arithmetic, or
   * `multiply_strip`, which knows f32.
   */
  readonly multipliesRows?: "tiles" | "strips";
  /** Whether the shader uses the type `Element`; each call adds the snippet that defines it. */
  readonly usesElement?: boolean;
  /**
   * How eight rows come to all lanes, where the shader leaves that to the device; with `exchanged` the
   * device adds `gather_rows`, with or without subgroups.
   */
  readonly rows?: Readonly<Record<RowForm, string>>;
  /** Whether the shader calls `gather_rows` whatever the device's form. */
  readonly exchangesRows?: boolean;
  /** Whether the shader uses matrix units; the snippet with their shape is added. */
  readonly usesMatrixUnits?: boolean;
}

/** A checked declaration. */
export interface Kernel<
  Bindings extends Record<string, Access> = Record<string, Access>,
  Params extends Record<string, ScalarType> = Record<string, ScalarType>,
  Constants extends Record<string, number> = Record<string, number>,
> extends KernelDeclaration<Bindings, Params, Constants> {
  /** Override constants with their defaults filled in. */
  readonly constants: Constants;
}

/**
 * The arithmetic of a linear layer's products. `f32`. `f16`: eight products are added in f16 before
 * they join an f32 sum. `int8`: 32 codes of activations times 32 of weights are summed exactly,
 * then scaled and added to an f32 sum.
 */
export type Arithmetic = "f32" | "f16" | "int8";

/** Names of the arithmetics. */
export const ARITHMETICS: readonly Arithmetic[] = ["f32", "f16", "int8"];

/**
 * The type that numbers are kept in: `f32`, or `f16`, in which magnitudes above 65504 become 65504.
 */
export type Element = "f32" | "f16";

/** Names of the element types. */
export const ELEMENTS: readonly Element[] = ["f32", "f16"];

/**
 * The type of the rows that linear layers read. Products in f16 read f16 where all lanes read every
 * row, so that none of them converts it; where lanes exchange rows, each converts what it gets. Rows
 * for int8 are codes, which lie in the bits of f32.
 */
export function rowElement(arithmetic: Arithmetic, form: RowForm): Element {
  return arithmetic === "f16" && form === "uniform" ? "f16" : "f32";
}

/** Bytes of one element. */
export function elementBytes(element: Element): number {
  return element === "f16" ? 2 : 4;
}

/**
 * Operations and bytes of a call, from which rates are computed. Weights count once per call, as if
 * every row tile found them in a cache.
 */
export interface Cost {
  /** Multiplications and additions. */
  readonly operations: number;
  /** Bytes read and bytes written, each counted once. */
  readonly bytes: number;
}

/** The buffers of a weight matrix, which `@group(1)` of a kernel binds, and how they are read. */
export interface WeightBinding {
  /** Name of the scheme, which distinguishes pipelines. */
  readonly scheme: string;
  /** WGSL that declares the buffers and defines `load_weight8`. */
  readonly snippet: string;
  /** Arithmetic of kernels that multiply rows. */
  readonly arithmetic: Arithmetic;
  /** Override constants of the snippet. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Buffers, or a texture of rgba32uint, at `@group(1) @binding(0..)`. */
  readonly buffers: readonly (GPUBuffer | Texels)[];
}

/** A binding in a shader: its number, then access and name of a buffer, or the name of texels. */
const BINDING =
  /@group\(0\)\s*@binding\((\d+)\)\s*var(?:<storage,\s*(read|read_write)>\s*(\w+)|\s+(\w+)\s*:\s*texture_storage_2d<rgba32float,\s*read>)/g;

function difference(name: string, what: string, declared: string, found: string): Error {
  return new Error(
    `shaders/${name}.wgsl: ${what} differ: the wrapper declares [${declared}], ` +
      `the shader has [${found}]. Change src/kernels/${name}.ts or the shader.`,
  );
}

/** Removes comments, which could otherwise be read as declarations. */
function withoutComments(source: string): string {
  return source.replace(/\/\/.*$/gm, "").replace(/\/\*[\s\S]*?\*\//g, "");
}

/**
 * Declares a kernel.
 * @throws {Error} when bindings, `Params` or override constants differ from the shader's text. The
 * check runs on import and needs no GPU.
 */
export function defineKernel<
  const Bindings extends Record<string, Access>,
  const Params extends Record<string, ScalarType>,
  const Constants extends Record<string, number> = Record<never, number>,
>(
  declaration: KernelDeclaration<Bindings, Params, Constants>,
): Kernel<Bindings, Params, Constants> {
  const { name } = declaration;
  const source = withoutComments(declaration.source);

  const struct = /struct\s+Params\s*\{([^}]*)\}/.exec(source);
  const params = [...(struct?.[1] ?? "").matchAll(/(\w+)\s*:\s*(\w+)/g)].map((m) =>
    `${m[1]}: ${m[2]}`
  ).join(", ");
  const declaredParams = Object.entries(declaration.params).map(([k, v]) => `${k}: ${v}`).join(
    ", ",
  );
  if (params !== declaredParams) throw difference(name, "Params", declaredParams, params);

  const bindings = [...source.matchAll(BINDING)].map(([, at, access, buffer, texels]) =>
    texels ? `${at} ${texels}: texels` : `${at} ${buffer}: ${access === "read" ? "read" : "write"}`
  ).join(", ");
  const declaredBindings = Object.entries(declaration.bindings)
    .map(([k, v], i) => `${i + 1} ${k}: ${v}`).join(", ");
  if (bindings !== declaredBindings) throw difference(name, "bindings", declaredBindings, bindings);

  const everything = withoutComments([source, ...declaration.snippets ?? []].join("\n"));
  const overrides = [...everything.matchAll(/override\s+(\w+)\s*:\s*\w+\s*=\s*(\d+)/g)]
    .map((m) => `${m[1]} = ${m[2]}`).sort().join(", ");
  const constants = declaration.constants ?? ({} as Constants);
  const declaredOverrides = Object.entries(constants).map(([k, v]) => `${k} = ${v}`).sort()
    .join(", ");
  if (overrides !== declaredOverrides) {
    throw difference(name, "override constants", declaredOverrides, overrides);
  }
  return { ...declaration, constants };
}
