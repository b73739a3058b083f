/** The feed-forward layer between its projections: a gated activation. */

import source from "../../shaders/silu_gate.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/silu_gate.wgsl */
export const siluGateKernel = defineKernel({
  name: "silu_gate",
  source,
  bindings: { gate: "read", up: "read", act: "write" },
  params: { units: "u32" },
});

/** Lanes of a workgroup, and workgroups in x at most: as in shaders of one lane for four numbers. */
const [LANES, ACROSS] = [64, 32768];

/** Workgroups of a kernel that has one lane for each unit of four numbers. */
export function unitWorkgroups(units: number): [number, number] {
  const groups = Math.ceil(units / LANES);
  return [Math.min(groups, ACROSS), Math.ceil(groups / ACROSS)];
}

/**
 * Records `act = silu(gate) * up`, padding included, where zeros stay zero.
 * @param gate `[rows, stride]`, as all others
 * @param options.stride a multiple of 4
 */
export function siluGate(
  recorder: Recorder,
  gate: Tensor,
  up: Tensor,
  act: Tensor,
  { rows, stride }: { readonly rows: number; readonly stride: number },
): void {
  const units = rows * stride / 4;
  recorder.dispatch(siluGateKernel, {
    bindings: { gate, up, act },
    params: { units },
    cost: { operations: 20 * units, bytes: 48 * units },
    workgroups: unitWorkgroups(units),
  });
}
