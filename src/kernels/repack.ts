/** Repacks row-major weights from a file into the units that kernels load. */

import source from "../../shaders/repack.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { elementsPerUnit, paddedInner, type QuantScheme, scaleWords } from "../quant/scheme.ts";

/** shaders/repack.wgsl */
export const repackKernel = defineKernel({
  name: "repack",
  source,
  bindings: { rows: "read", units: "write" },
  params: { inner: "u32", chunk_columns: "u32", first_column: "u32", columns: "u32", units: "u32" },
  constants: { BITS: 16, UNIT_WORDS: 4, ALIGNED: 0 },
});

/** Columns to repack, and their place in the packed matrix. */
export interface RepackedColumns {
  /** Number of weights in a column. */
  readonly inner: number;
  /** Number of columns in `rows`. */
  readonly chunkColumns: number;
  /** First of these columns in the packed matrix. */
  readonly firstColumn: number;
  /** Width of the packed matrix. */
  readonly columns: number;
}

function record(
  recorder: Recorder,
  rows: Tensor,
  units: Tensor,
  at: RepackedColumns,
  form: { readonly bits: number; readonly unitWords: number; readonly units: number },
): void {
  recorder.dispatch(repackKernel, {
    bindings: { rows, units },
    params: {
      inner: at.inner,
      chunk_columns: at.chunkColumns,
      first_column: at.firstColumn,
      columns: at.columns,
      units: form.units,
    },
    constants: {
      BITS: form.bits,
      UNIT_WORDS: form.unitWords,
      ALIGNED: at.inner * form.bits % 128 === 0 ? 1 : 0,
    },
    workgroups: [Math.ceil(at.chunkColumns / 32), Math.ceil(form.units * form.unitWords / 4)],
  });
}

/**
 * Records the repacking of some columns' codes.
 * @param rows `[chunkColumns, inner]` in the scheme's dtype
 * @param units `[paddedInner / elementsPerUnit, columns]` units
 */
export function repack(
  recorder: Recorder,
  rows: Tensor,
  units: Tensor,
  scheme: QuantScheme,
  at: RepackedColumns,
): void {
  const { bits, unitWords } = scheme;
  const count = paddedInner(at.inner) / elementsPerUnit(scheme);
  record(recorder, rows, units, at, { bits, unitWords, units: count });
}

/**
 * Records the repacking of some columns' scales; `at.inner` is that of the weights.
 * @param rows `[chunkColumns, groups]` f16
 * @param scales `[scaleWords, columns]`, two groups to a word
 */
export function repackScales(
  recorder: Recorder,
  rows: Tensor,
  scales: Tensor,
  scheme: QuantScheme,
  at: RepackedColumns,
): void {
  const inner = Math.ceil(at.inner / scheme.group!);
  const form = { bits: 16, unitWords: 1, units: scaleWords(scheme, at.inner) };
  record(recorder, rows, scales, { ...at, inner }, form);
}
