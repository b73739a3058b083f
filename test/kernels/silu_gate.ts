/** `act = silu(gate) * up`. */

import { siluGate } from "../../src/kernels/silu_gate.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import { paddedRows } from "./matrix.ts";

/** Rows of gated channels. */
export interface GateSize {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Size of the gates: silu has two arms. */
  readonly scale?: number;
}

interface Inputs extends GateSize {
  readonly gate: Float32Array<ArrayBuffer>;
  readonly up: Float32Array<ArrayBuffer>;
}

/** Sizes around a workgroup's 256 numbers; at large ones a gate's exponential is infinite. */
export const GATE_SIZES: readonly GateSize[] = [
  { name: "one by one", rows: 1, columns: 1 },
  { name: "5 rows of 13", rows: 5, columns: 13 },
  { name: "32 rows of 8", rows: 32, columns: 8 },
  { name: "3 rows of 345", rows: 3, columns: 345 },
  { name: "large", rows: 3, columns: 40, scale: 60 },
];

/** `gate / (1 + exp(-gate)) * up`, number by number. */
export function gated(gate: ArrayLike<number>, up: ArrayLike<number>): Float64Array {
  return Float64Array.from(gate, (z, i) => z / (1 + Math.exp(-z)) * up[i]);
}

/** All rows; those behind them stay as they are. */
export function reference({ rows, columns, gate, up }: Inputs) {
  const act = untouchedReference((rows + GUARD_ROWS) * paddedInner(columns));
  act.set(gated(gate, up));
  return { act };
}

export const kernelCase = defineCase<GateSize, Inputs>({
  kernel: "silu_gate",
  tolerance: 2e-6,
  sizes: GATE_SIZES,
  modelSizes: [{ name: "128 rows of 3072", rows: 128, columns: 3072 }],
  inputs: (size, random) => ({
    ...size,
    gate: paddedRows(random, size.rows, size.columns, size.scale),
    up: paddedRows(random, size.rows, size.columns),
  }),
  upload(tensors, { rows, columns, gate, up }) {
    const stride = paddedInner(columns);
    const act = tensors.untouched("act", (rows + GUARD_ROWS) * stride);
    const [gates, ups] = [tensors.of("gate", gate), tensors.of("up", up)];
    return {
      record: (recorder) => siluGate(recorder, gates, ups, act.tensor, { rows, stride }),
      outputs: { act },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({
    multiplyAdds: 4 * rows * columns,
    bytes: 12 * rows * columns,
  }),
});
