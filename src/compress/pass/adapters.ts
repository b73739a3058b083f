/**
 * Low-rank adapters (LoRA: Hu et al. 2021, arXiv 2106.09685): a matrix W becomes W + alpha / rank B A,
 * and only A and B are trained.
 */

import { type Tensor, tensorOf } from "../../gpu/tensor.ts";
import { paddedInner } from "../../quant/scheme.ts";
import type { Adapter } from "./linear_module.ts";
import { type ParameterLayout, parameterLayouts } from "./parameter_layout.ts";
import type { TrainingParameters } from "./parameters.ts";
import { hash, uniform } from "../../denoise/noise.ts";

/** Modules of a layer that take an adapter, as the checkpoint names them. */
export const ADAPTED_MODULES = [
  "q_proj",
  "k_proj",
  "v_proj",
  "attn_out",
  "ff_proj",
  "up_proj",
  "ff_out",
] as const;

/** Options of adapters. */
export interface AdapterOptions {
  readonly rank: number;
  /** What `B A` is multiplied by, times the rank; default the rank, which multiplies by 1. */
  readonly alpha?: number;
  /** Modules of every layer; default: all of {@linkcode ADAPTED_MODULES}. */
  readonly modules?: readonly string[];
  /** Decides the numbers of A; those of B are zero, so that training begins at the model itself. */
  readonly seed: number;
}

/** What a `trains` of parameters is where adapters alone are trained. */
export const nothingTrains = (): boolean => false;

/** The adapters of a model; their tensors are among its parameters. */
export class Adapters implements Disposable {
  /** What `B A` is multiplied by. */
  readonly scale: number;
  readonly rank: number;
  readonly #byName = new Map<string, Adapter>();
  readonly #scale: Tensor;

  /**
   * Adds adapters to a model, which is best loaded with {@linkcode nothingTrains}.
   * @throws {RangeError} for a module that no layer has, naming those that there are, or a rank or alpha
   * that makes no adapter
   */
  constructor(parameters: TrainingParameters, options: AdapterOptions) {
    const { rank, alpha = rank, modules = ADAPTED_MODULES, seed } = options;
    checkAdapters(modules, rank, alpha);
    this.rank = rank;
    this.scale = alpha / rank;
    const side = paddedInner(rank);
    const diagonal = new Float32Array(side * side);
    for (let i = 0; i < rank; i++) diagonal[i * side + i] = this.scale;
    this.#scale = tensorOf(parameters.gpu, "scale of adapters", diagonal);
    // In the order of the model, whichever of its matrices are packed: that decides the numbers drawn.
    const adapted = parameterLayouts(parameters.config).filter(({ name }) =>
      modules.some((module) => name.endsWith(`.${module}.weight`)) && name.includes(".blocks.")
    );
    for (const [index, layout] of adapted.entries()) {
      const { name, shape: [out, inner], rows, columns, headRows } = layout;
      const stem = name.slice(0, -".weight".length);
      const a: ParameterLayout = {
        name: `${stem}.lora_A.weight`,
        shape: [rank, inner],
        rows: side,
        columns,
      };
      const b = {
        name: `${stem}.lora_B.weight`,
        shape: [out, rank],
        rows,
        columns: side,
        headRows,
      };
      this.#byName.set(name, {
        a: parameters.add(a, true),
        b: parameters.add(b, true),
        scale: this.#scale,
      });
      // Uniform within 1 / sqrt(in), as the published code draws them.
      const bound = 1 / Math.sqrt(inner);
      const draw = (_: unknown, i: number) => bound * (2 * uniform(hash(seed, 0, index, i)) - 1);
      parameters.set(a.name, Float32Array.from({ length: rank * inner }, draw));
    }
  }

  /** The adapter of a matrix, by the name of its weight. */
  of(name: string): Adapter | undefined {
    return this.#byName.get(name);
  }

  /** Names of the matrices that have adapters. */
  get names(): string[] {
    return [...this.#byName.keys()];
  }

  [Symbol.dispose](): void {
    this.#scale.destroy();
  }
}

function checkAdapters(modules: readonly string[], rank: number, alpha: number): void {
  if (!Number.isInteger(rank) || rank < 1) {
    throw new RangeError(`a rank of ${rank}, expected a whole number from 1`);
  }
  if (!(alpha > 0 && Number.isFinite(alpha))) {
    throw new RangeError(`an alpha of ${alpha}, expected a number above 0`);
  }
  const known: readonly string[] = ADAPTED_MODULES;
  const unknown = modules.filter((module) => !known.includes(module));
  if (unknown.length > 0 || modules.length === 0) {
    throw new RangeError(
      `${unknown.length > 0 ? `no layer has a module ${unknown.join(", ")}` : "no modules"}: ` +
        `adapters go to ${known.join(", ")}`,
    );
  }
}

/**
 * Adds `scale B A` to some rows of the matrix, as the checkpoint has it.
 * @param rows `[rows, in]`, changed
 * @param factors.a `[rank, in]`
 * @param factors.b `[out, rank]`
 * @param firstRow the matrix's row that is the first of these
 */
export function addProduct(
  rows: Float32Array,
  { a, b, scale, rank }: {
    readonly a: Float32Array;
    readonly b: Float32Array;
    readonly scale: number;
    readonly rank: number;
  },
  firstRow: number,
): void {
  const inner = a.length / rank;
  const sums = new Float64Array(inner);
  for (let row = 0; row * inner < rows.length; row++) {
    sums.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = b[(firstRow + row) * rank + r];
      if (factor === 0) continue;
      for (let i = 0; i < inner; i++) sums[i] += factor * a[r * inner + i];
    }
    for (let i = 0; i < inner; i++) rows[row * inner + i] += scale * sums[i];
  }
}
