/** A kernel declared once: typed parameters in TypeScript, checked against its WGSL on import. */

/** How a kernel uses a storage buffer. */
export type Access = "read" | "write";
type ScalarType = "u32" | "f32";

/** What a kernel wrapper states about its shader. */
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
  /** The shader calls `load_weight8`: a scheme's snippet and `@group(1)` are added at a call. */
  readonly readsWeights?: boolean;
  /** The shader calls `multiply_tile`: the snippet of the weights' arithmetic is added at a call. */
  readonly multipliesRows?: boolean;
  /** The shader names `Element`: a snippet that says what it is is added at a call. */
  readonly usesElement?: boolean;
  /** The shader calls `gather_rows`: a snippet with or without subgroups is added by the device. */
  readonly gathersRows?: boolean;
  /** The shader multiplies matrices of a subgroup: the snippet with their shape is added. */
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
 * In what the products of a linear layer are made: `f32`; `f16`, eight of them added up before they
 * join an f32 sum; `int8`, 32 codes of activations by 32 of weights, exact, before scales and an f32 sum.
 */
export type Arithmetic = "f32" | "f16" | "int8";

/** All of them. */
export const ARITHMETICS: readonly Arithmetic[] = ["f32", "f16", "int8"];

/**
 * What numbers are kept as: `f32`, or in 16 bits as `f16`, where magnitudes above 65504 become 65504.
 */
export type Element = "f32" | "f16";

/** All of them. */
export const ELEMENTS: readonly Element[] = ["f32", "f16"];

/** Bytes of one element. */
export function elementBytes(element: Element): number {
  return element === "f16" ? 2 : 4;
}

/** What a call does and moves, for rates. Weights count once a call, as though every row tile found them
 * in a cache. */
export interface Cost {
  /** Multiplications and additions. */
  readonly operations: number;
  /** Read and written, each once. */
  readonly bytes: number;
}

/** A weight matrix's buffers and how they are read: what `@group(1)` of a kernel is bound to. */
export interface WeightBinding {
  /** Name of the scheme: tells pipelines apart. */
  readonly scheme: string;
  /** WGSL that declares the buffers and defines `load_weight8`. */
  readonly snippet: string;
  /** For kernels that multiply rows. */
  readonly arithmetic: Arithmetic;
  /** Override constants of the snippet. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Buffers at `@group(1) @binding(0..)`. */
  readonly buffers: readonly GPUBuffer[];
}

function difference(name: string, what: string, declared: string, found: string): Error {
  return new Error(
    `shaders/${name}.wgsl: ${what} differ: the wrapper declares [${declared}], ` +
      `the shader has [${found}]. Change src/kernels/${name}.ts or the shader.`,
  );
}

/** Comments would otherwise be read as declarations. */
function withoutComments(source: string): string {
  return source.replace(/\/\/.*$/gm, "").replace(/\/\*[\s\S]*?\*\//g, "");
}

/**
 * Declares a kernel.
 * @throws {Error} when bindings, `Params` or override constants differ from the shader's text, so a
 * mismatch fails on import, without a GPU
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

  const bindings = [...source.matchAll(
    /@group\(0\)\s*@binding\((\d+)\)\s*var<storage,\s*(read|read_write)>\s*(\w+)/g,
  )].map((m) => `${m[1]} ${m[3]}: ${m[2] === "read" ? "read" : "write"}`).join(", ");
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
