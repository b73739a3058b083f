/** Compiles kernels for a device, once for each set of constants, scheme and element. */

import elementF16 from "../../shaders/lib/element_f16.wgsl" with { type: "text" };
import elementF32 from "../../shaders/lib/element_f32.wgsl" with { type: "text" };
import gatherRowsSubgroup from "../../shaders/lib/gather_rows_subgroup.wgsl" with { type: "text" };
import gatherRowsWorkgroup from "../../shaders/lib/gather_rows_workgroup.wgsl" with {
  type: "text",
};
import multiplyTile from "../../shaders/lib/multiply_tile.wgsl" with { type: "text" };
import multiplyTileInt8 from "../../shaders/lib/multiply_tile_int8.wgsl" with { type: "text" };
import productsF16 from "../../shaders/lib/products_f16.wgsl" with { type: "text" };
import productsF32 from "../../shaders/lib/products_f32.wgsl" with { type: "text" };
import rowUnitF16 from "../../shaders/lib/row_unit_f16.wgsl" with { type: "text" };
import rowUnitF32 from "../../shaders/lib/row_unit_f32.wgsl" with { type: "text" };
import tileRowsExchanged from "../../shaders/lib/tile_rows_exchanged.wgsl" with { type: "text" };
import tileRowsUniform from "../../shaders/lib/tile_rows_uniform.wgsl" with { type: "text" };
import weight8 from "../../shaders/lib/weight8.wgsl" with { type: "text" };
import widenExchanged from "../../shaders/lib/widen_exchanged.wgsl" with { type: "text" };
import widenUniform from "../../shaders/lib/widen_uniform.wgsl" with { type: "text" };
import type { Gpu } from "./device.ts";
import type { RowForm } from "./row_form.ts";
import {
  type Arithmetic,
  type Element,
  type Kernel,
  rowElement,
  type WeightBinding,
} from "./kernel.ts";
import { entryPoint } from "./matrix_units.ts";
import { waiting } from "./mapping.ts";
import { Texels } from "./texels.ts";

const MULTIPLY_TILE: Readonly<Record<Arithmetic, readonly string[]>> = {
  f32: [multiplyTile, productsF32],
  f16: [multiplyTile, productsF16],
  int8: [multiplyTileInt8],
};

const TILE_ROWS: Readonly<Record<RowForm, string>> = {
  exchanged: tileRowsExchanged,
  uniform: tileRowsUniform,
};

const ROW_UNIT: Readonly<Record<Element, string>> = { f32: rowUnitF32, f16: rowUnitF16 };

/** How quantised weights become floats. */
const WIDEN: Readonly<Record<RowForm, string>> = {
  exchanged: widenExchanged,
  uniform: widenUniform,
};

const ELEMENT: Readonly<Record<Element, string>> = { f32: elementF32, f16: elementF16 };

/** A kernel ready to run. */
export interface CompiledKernel {
  /** Unique number of the compiled kernel in this process. */
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  /** Layout of `@group(0)`. */
  readonly layout: GPUBindGroupLayout;
  /** The bind group of `@group(1)`, kept as long as the first of what it binds lives. */
  weightGroup(weights: WeightBinding): GPUBindGroup;
}

const compiled = new WeakMap<Gpu, Map<string, CompiledKernel>>();
let nextId = 0;

/** Compiles a kernel; later calls with the same arguments return the same pipeline. */
export function pipelineFor(
  gpu: Gpu,
  kernel: Kernel,
  constants: Record<string, number>,
  weights: WeightBinding | undefined,
  element: Element = "f32",
): CompiledKernel {
  if (Boolean(kernel.readsWeights) !== Boolean(weights)) {
    throw new Error(`${kernel.name}: ${weights ? "reads no weights" : "needs weights"}`);
  }
  if (kernel.usesMatrixUnits && !gpu.matrixUnits) {
    throw new Error(`${kernel.name}: ${gpu.name} has no matrix units`);
  }
  const arithmetic = kernel.multipliesRows === "tiles" ? weights?.arithmetic : "";
  const texels = weights?.buffers.some((one) => one instanceof Texels) ? "texels" : "";
  const all = { ...constants, ...weights?.constants };
  const scheme = weights?.scheme ?? "";
  const key = `${kernel.name}|${scheme}|${texels}|${arithmetic}|${element}|${JSON.stringify(all)}`;
  let ofDevice = compiled.get(gpu);
  if (!ofDevice) compiled.set(gpu, ofDevice = new Map());
  let entry = ofDevice.get(key);
  if (!entry) {
    using _waiting = waiting(gpu);
    ofDevice.set(key, entry = compile(gpu, kernel, all, weights, element));
  }
  return entry;
}

/**
 * A kernel's whole text for a device: its own lines first, with their numbers.
 * @param options.element of the buffers that are declared with `Element` (default f32)
 * @param options.splits groups of 32 lanes in a workgroup (default 1). With more, rows go round through
 * workgroup memory: a driver may put two groups into one subgroup of 64, where each would get the
 * first one's rows
 */
export function shaderCode(
  gpu: Gpu,
  kernel: Kernel,
  weights: Pick<WeightBinding, "snippet" | "arithmetic"> | undefined,
  { element = "f32", splits = 1 }: { readonly element?: Element; readonly splits?: number } = {},
): string {
  const arithmetic = kernel.multipliesRows === "tiles" ? weights?.arithmetic : undefined;
  const form = gpu.rowForm;
  const source = kernel.usesMatrixUnits
    ? entryPoint(kernel.source, gpu.matrixUnits!)
    : kernel.source;
  return [
    // Directives must come first. They share the first line, so that line numbers stay the same.
    gpu.directives + source,
    ...kernel.snippets ?? [],
    ...weights ? [weight8, WIDEN[form], weights.snippet] : [],
    ...arithmetic ? MULTIPLY_TILE[arithmetic] : [],
    ...kernel.multipliesRows === "strips" ? [productsF32] : [],
    ...kernel.usesElement ? [ELEMENT[element]] : [],
    ...kernel.rows ? [kernel.rows[form]] : [],
    ...arithmetic ? [TILE_ROWS[form], ROW_UNIT[rowElement(arithmetic, form)]] : [],
    ...kernel.exchangesRows || kernel.multipliesRows === "strips" ||
        (kernel.rows || arithmetic) && form === "exchanged"
      ? [gpu.subgroups && splits === 1 ? gatherRowsSubgroup : gatherRowsWorkgroup]
      : [],
    ...kernel.usesMatrixUnits ? [gpu.matrixUnits!.snippet] : [],
  ].join("\n");
}

function compile(
  gpu: Gpu,
  kernel: Kernel,
  constants: Record<string, number>,
  weights: WeightBinding | undefined,
  element: Element,
): CompiledKernel {
  const { device } = gpu;
  const { SPLITS: splits } = { ...kernel.constants, ...constants };
  const code = shaderCode(gpu, kernel, weights, { element, splits });
  const storage = (binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry => ({
    binding,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type },
  });
  const texels = (
    binding: number,
    format: "rgba32float" | "rgba32uint" = "rgba32float",
  ): GPUBindGroupLayoutEntry => ({
    binding,
    visibility: GPUShaderStage.COMPUTE,
    storageTexture: { access: "read-only", format },
  });
  const layout = device.createBindGroupLayout({
    label: kernel.name,
    entries: [
      {
        binding: 0,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: "uniform", hasDynamicOffset: true },
      },
      ...Object.values(kernel.bindings).map((access, i) =>
        access === "texels"
          ? texels(i + 1)
          : storage(i + 1, access === "read" ? "read-only-storage" : "storage")
      ),
    ],
  });
  const weightLayout = weights &&
    device.createBindGroupLayout({
      label: `${kernel.name} weights`,
      entries: weights.buffers.map((one, i) =>
        one instanceof Texels ? texels(i, "rgba32uint") : storage(i, "read-only-storage")
      ),
    });
  const pipeline = device.createComputePipeline({
    label: kernel.name,
    layout: device.createPipelineLayout({
      bindGroupLayouts: weightLayout ? [layout, weightLayout] : [layout],
    }),
    compute: {
      module: device.createShaderModule({ label: kernel.name, code }),
      entryPoint: "main",
      constants,
    },
  });
  const weightGroups = new WeakMap<GPUBuffer | Texels, GPUBindGroup>();
  return {
    id: nextId++,
    pipeline,
    layout,
    weightGroup(binding) {
      const { buffers } = binding;
      let group = weightGroups.get(buffers[0]);
      if (!group) {
        group = device.createBindGroup({
          layout: weightLayout!,
          entries: buffers.map((one, i) => ({
            binding: i,
            resource: one instanceof Texels ? one.view : { buffer: one },
          })),
        });
        weightGroups.set(buffers[0], group);
      }
      return group;
    },
  };
}
