/** The gradient of the gated activation. */

import source from "../../shaders/silu_gate_backward.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { unitWorkgroups } from "./silu_gate.ts";

/** shaders/silu_gate_backward.wgsl */
export const siluGateBackwardKernel = defineKernel({
  name: "silu_gate_backward",
  source,
  bindings: { gate: "read", up: "read", d_act: "read", d_gate: "write", d_up: "write" },
  params: { units: "u32" },
});

/**
 * Records the gradients of `act = silu(gate) * up`, padding included, where zeros stay zero. They are
 * written, not added.
 * @param tensors `[rows, stride]` each
 * @param options.stride a multiple of 4
 */
export function siluGateBackward(
  recorder: Recorder,
  { gate, up, dAct, dGate, dUp }: {
    readonly gate: Tensor;
    readonly up: Tensor;
    readonly dAct: Tensor;
    readonly dGate: Tensor;
    readonly dUp: Tensor;
  },
  { rows, stride }: { readonly rows: number; readonly stride: number },
): void {
  const units = rows * stride / 4;
  recorder.dispatch(siluGateBackwardKernel, {
    bindings: { gate, up, d_act: dAct, d_gate: dGate, d_up: dUp },
    params: { units },
    cost: { operations: 44 * units, bytes: 80 * units },
    workgroups: unitWorkgroups(units),
  });
}
