/** Quantises row-major weights from a file into codes and scales on the GPU. */

import source from "../../shaders/quantize.wgsl" with { type: "text" };
import type { FloatDType } from "../gpu/dtype.ts";
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { type QuantScheme, scaleWords } from "../quant/scheme.ts";
import type { RepackedColumns } from "./repack.ts";

/** shaders/quantize.wgsl */
export const quantizeKernel = defineKernel({
  name: "quantize",
  source,
  bindings: { rows: "read", units: "write", scales: "write" },
  params: { inner: "u32", chunk_columns: "u32", first_column: "u32", columns: "u32" },
  constants: { SOURCE: 2, BITS: 8, GROUP: 32, ALIGNED: 0 },
});

const SOURCES: Readonly<Record<FloatDType, number>> = { F32: 0, F16: 1, BF16: 2 };

/**
 * Records the quantisation of some columns; the bits are those of `encodeRows`.
 * @param rows `[chunkColumns, inner]` in `dtype`
 * @param to.units `[blocks, columns]` units of 8 codes
 * @param to.scales `[scaleWords, columns]`
 */
export function quantize(
  recorder: Recorder,
  rows: Tensor,
  dtype: FloatDType,
  to: { readonly units: Tensor; readonly scales: Tensor },
  scheme: QuantScheme,
  at: RepackedColumns,
): void {
  recorder.dispatch(quantizeKernel, {
    bindings: { rows, ...to },
    params: {
      inner: at.inner,
      chunk_columns: at.chunkColumns,
      first_column: at.firstColumn,
      columns: at.columns,
    },
    constants: {
      SOURCE: SOURCES[dtype],
      BITS: scheme.bits,
      GROUP: scheme.group!,
      ALIGNED: at.inner % scheme.group! === 0 ? 1 : 0,
    },
    workgroups: [Math.ceil(at.chunkColumns / 32), scaleWords(scheme, at.inner)],
  });
}
