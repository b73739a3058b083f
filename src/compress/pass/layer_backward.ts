/** The backward pass of a transformer block, from its result to its input. */

import type { Tensor } from "../../gpu/tensor.ts";
import { attentionBackward } from "../../kernels/attention_backward.ts";
import { rmsNormBackward } from "../../kernels/rms_norm_backward.ts";
import { rotate } from "../../kernels/rotate.ts";
import { siluGateBackward } from "../../kernels/silu_gate_backward.ts";
import { paddedInner } from "../../quant/scheme.ts";
import {
  activate,
  attentionForward,
  gateForward,
  type LayerActivations,
  type LayerSpace,
  normForward,
} from "./layer_forward.ts";
import type { LayerModules } from "./layer_modules.ts";
import { linearBackward } from "./linear_module.ts";
import type { Parameter } from "./parameters.ts";
import type { PreparedBatch } from "./prepared_batch.ts";

/** Called with the gradient of a named activation, `[rows, padded columns]`. */
export type GradientObserver = (name: string, gradient: Tensor) => void;

/**
 * Records the gradients of a layer. Those of its parameters join what they hold.
 * @param dX gradient of the layer's result `[rows, padded columns]`; becomes that of its input
 * @param made whether all of `a` still holds what the forward pass of this layer made
 */
export function layerBackward(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  a: LayerActivations,
  dX: Tensor,
  made: boolean,
): void {
  if (!made) remake(space, batch, modules, a);
  feedForwardBackward(space, batch, modules, a, dX);
  selfAttentionBackward(space, batch, modules, a, dX);
}

/** Records again what the forward pass made; with the same kernels, so that the bits are the same. */
function remake(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  a: LayerActivations,
): void {
  if (!space.keepsActivations) {
    attentionForward(space, batch, modules, a);
    gateForward(space, batch, modules, a);
    return;
  }
  const { rows } = batch;
  normForward(space, a.x, modules.attentionNorm, a.attentionNormed, { rows });
  normForward(space, a.mid, modules.ffnNorm, a.ffnNormed, { rows });
  activate(space, a, rows);
}

function feedForwardBackward(
  space: LayerSpace,
  { rows }: PreparedBatch,
  modules: LayerModules,
  { mid, ffnNormed, gate, up, act }: LayerActivations,
  dX: Tensor,
): void {
  const { recorder, scratch, config } = space;
  const stride = paddedInner(config.ffnSize);
  const wide = (name: string) => scratch.get(name, rows * stride);
  const [dAct, dGate, dUp] = ["d act", "d gate", "d up"].map(wide);
  const dNormed = scratch.get("d normed", rows * paddedInner(config.hiddenSize));
  linearBackward(space, modules.down, { x: act, dY: dX, dX: dAct }, { rows });
  siluGateBackward(recorder, { gate, up, dAct, dGate, dUp }, { rows, stride });
  const x = ffnNormed;
  linearBackward(space, modules.gate, { x, dY: dGate, dX: dNormed }, { rows });
  linearBackward(space, modules.up, { x, dY: dUp, dX: dNormed }, { rows, add: true });
  normBackward(space, modules.ffnNorm, { x: mid, dY: dNormed, dX }, { rows });
}

function selfAttentionBackward(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  { x, attentionNormed, q, k, v, attended }: LayerActivations,
  dX: Tensor,
): void {
  const { recorder, scratch, config, rotation, shape } = space;
  const { rows, positions, ranges, work } = batch;
  const width = paddedInner(config.hiddenSize);
  const [queries, keys] = [shape.heads, shape.kvHeads].map((heads) => heads * shape.headStride);
  const dAttended = scratch.get("d attended", rows * width);
  const dQ = scratch.get("d q", rows * queries);
  const dK = scratch.get("d k", rows * keys);
  const dV = scratch.get("d v", rows * keys);
  const dNormed = scratch.get("d normed", rows * width);
  linearBackward(space, modules.attentionOut, { x: attended, dY: dX, dX: dAttended }, { rows });
  attentionBackward(
    recorder,
    { q, k, v, y: attended, dY: dAttended, dQ, dK, dV, ranges },
    shape,
    { work, yStride: width, rows, scratch },
  );
  for (const [tensor, heads] of [[dQ, shape.heads], [dK, shape.kvHeads]] as const) {
    rotate(recorder, tensor, positions, rotation, {
      rows,
      heads,
      shape,
      stride: heads * shape.headStride,
      inverse: true,
    });
  }
  const projected = [[modules.q, dQ], [modules.k, dK], [modules.v, dV]] as const;
  for (const [i, [module, dY]] of projected.entries()) {
    linearBackward(space, module, { x: attentionNormed, dY, dX: dNormed }, { rows, add: i > 0 });
  }
  normBackward(space, modules.attentionNorm, { x, dY: dNormed, dX }, { rows });
}

/** Records the gradient of a norm, which joins `dX` and, where the norm is trained, its weight's. */
export function normBackward(
  { recorder, scratch, config }: LayerSpace,
  { weight, gradient }: Parameter,
  tensors: { readonly x: Tensor; readonly dY: Tensor; readonly dX: Tensor },
  rows: { readonly rows: number; readonly rowIndex?: Tensor },
): void {
  const stride = paddedInner(config.hiddenSize);
  rmsNormBackward(recorder, { ...tensors, weight, dWeight: gradient }, {
    ...rows,
    columns: config.hiddenSize,
    stride,
    epsilon: config.normEpsilon,
    scratch,
  });
}
