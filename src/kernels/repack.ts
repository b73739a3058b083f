/** Row-major weights as read from disk become the units that kernels load. */

import source from "../../shaders/repack.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { paddedInner, type QuantScheme } from "../quant/scheme.ts";

/** shaders/repack.wgsl */
export const repackKernel = defineKernel({
  name: "repack",
  source,
  bindings: { rows: "read", units: "write" },
  params: { inner: "u32", chunk_columns: "u32", first_column: "u32", columns: "u32" },
  constants: { ELEMENTS: 8 },
});

/**
 * Records the repacking of some columns.
 * @param rows `[chunkColumns, inner]` in the scheme's dtype
 * @param units `[paddedInner / elementsPerUnit, columns]` units of 16 bytes
 */
export function repack(
  recorder: Recorder,
  rows: Tensor,
  units: Tensor,
  scheme: QuantScheme,
  at: {
    readonly inner: number;
    readonly chunkColumns: number;
    readonly firstColumn: number;
    readonly columns: number;
  },
): void {
  recorder.dispatch(repackKernel, {
    bindings: { rows, units },
    params: {
      inner: at.inner,
      chunk_columns: at.chunkColumns,
      first_column: at.firstColumn,
      columns: at.columns,
    },
    constants: { ELEMENTS: scheme.elementsPerUnit },
    workgroups: [
      Math.ceil(at.chunkColumns / 32),
      paddedInner(at.inner) / scheme.elementsPerUnit,
    ],
  });
}
