/** The gradients of `act = silu(gate) * up`. */

import { siluGateBackward } from "../../src/kernels/silu_gate_backward.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import { weightedSum } from "./finite_differences.ts";
import { paddedRows } from "./matrix.ts";
import { GATE_SIZES, gated, type GateSize } from "./silu_gate.ts";

interface Inputs extends GateSize {
  readonly gate: Float32Array<ArrayBuffer>;
  readonly up: Float32Array<ArrayBuffer>;
  readonly dAct: Float32Array<ArrayBuffer>;
}

/** silu'(z) = s (1 + z (1 - s)), s = 1 / (1 + exp(-z)). */
function gradients({ gate, up, dAct }: Inputs) {
  const dGate = new Float64Array(gate.length);
  const dUp = new Float64Array(gate.length);
  gate.forEach((z, i) => {
    const s = 1 / (1 + Math.exp(-z));
    dGate[i] = dAct[i] * up[i] * s * (1 + z * (1 - s));
    dUp[i] = dAct[i] * z * s;
  });
  return { gate: dGate, up: dUp };
}

/** All rows; those behind them stay as they are. */
export function reference(inputs: Inputs) {
  const length = (inputs.rows + GUARD_ROWS) * paddedInner(inputs.columns);
  const [d_gate, d_up] = [untouchedReference(length), untouchedReference(length)];
  const { gate, up } = gradients(inputs);
  d_gate.set(gate);
  d_up.set(up);
  return { d_gate, d_up };
}

export const kernelCase = defineCase<GateSize, Inputs>({
  kernel: "silu_gate_backward",
  tolerance: 4e-6,
  sizes: GATE_SIZES,
  modelSizes: [{ name: "128 rows of 3072", rows: 128, columns: 3072 }],
  inputs: (size, random) => ({
    ...size,
    gate: paddedRows(random, size.rows, size.columns, size.scale),
    up: paddedRows(random, size.rows, size.columns),
    dAct: paddedRows(random, size.rows, size.columns),
  }),
  upload(tensors, { rows, columns, gate, up, dAct }) {
    const stride = paddedInner(columns);
    const d_gate = tensors.untouched("d_gate", (rows + GUARD_ROWS) * stride);
    const d_up = tensors.untouched("d_up", (rows + GUARD_ROWS) * stride);
    const bound = {
      gate: tensors.of("gate", gate),
      up: tensors.of("up", up),
      dAct: tensors.of("d_act", dAct),
      dGate: d_gate.tensor,
      dUp: d_up.tensor,
    };
    return {
      record: (recorder) => siluGateBackward(recorder, bound, { rows, stride }),
      outputs: { d_gate, d_up },
    };
  },
  reference,
  differences: (inputs) => ({
    variables: { gate: Float64Array.from(inputs.gate), up: Float64Array.from(inputs.up) },
    value: ({ gate, up }) => weightedSum(gated(gate, up), inputs.dAct),
    gradients: gradients(inputs),
  }),
  cost: ({ rows, columns }) => ({
    multiplyAdds: 8 * rows * columns,
    bytes: 20 * rows * columns,
  }),
});
