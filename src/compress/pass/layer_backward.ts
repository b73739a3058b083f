/** The backward pass of a transformer block, from its result to its input. */

import type { Tensor } from "../../gpu/tensor.ts";
import { attentionBackward } from "../../kernels/attention_backward.ts";
import { embedBackward } from "../../kernels/embed_backward.ts";
import { rmsNormBackward } from "../../kernels/rms_norm_backward.ts";
import { rotate } from "../../kernels/rotate.ts";
import { siluGateBackward } from "../../kernels/silu_gate_backward.ts";
import { paddedInner } from "../../quant/scheme.ts";
import {
  attentionForward,
  feedForward,
  type LayerActivations,
  layerActivations,
  type LayerSpace,
} from "./layer_forward.ts";
import type { LayerModules } from "./layer_modules.ts";
import { linearBackward } from "./linear_module.ts";
import type { Parameter } from "./parameters.ts";
import type { PreparedBatch } from "./prepared_batch.ts";

/** Called with the gradient of a named activation, `[rows, padded columns]`. */
export type GradientObserver = (name: string, gradient: Tensor) => void;

/**
 * Records the gradients of a layer. Those of its parameters join what they hold.
 * @param dY gradient of the layer's result, `[rows behind its attention, padded columns]`, written over
 * @param made whether all of the layer's activations still hold what its forward pass made
 * @returns gradient of its input, `[rows, padded columns]`
 */
export function layerBackward(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  layer: number,
  dY: Tensor,
  made: boolean,
): Tensor {
  const a = layerActivations(space, layer, batch);
  if (!made) {
    // With the same kernels, so that the bits are the same.
    attentionForward(space, batch, modules, a);
    feedForward(space, batch, modules, a);
  }
  feedForwardBackward(space, modules, a, dY);
  return selfAttentionBackward(space, batch, modules, a, dY);
}

/** From the gradient of a layer's result to that of `mid`, in place. */
function feedForwardBackward(
  space: LayerSpace,
  modules: LayerModules,
  { mid, ffnNormed, gate, up, act, behind: rows }: LayerActivations,
  dY: Tensor,
): void {
  const { recorder, scratch, config } = space;
  const stride = paddedInner(config.ffnSize);
  const wide = (name: string) => scratch.get(name, rows * stride);
  const [dAct, dGate, dUp] = ["d act", "d gate", "d up"].map(wide);
  const dNormed = scratch.get("d normed", rows * paddedInner(config.hiddenSize));
  linearBackward(space, modules.down, { x: act, dY, dX: dAct }, { rows });
  siluGateBackward(recorder, { gate, up, dAct, dGate, dUp }, { rows, stride });
  const x = ffnNormed;
  linearBackward(space, modules.gate, { x, dY: dGate, dX: dNormed }, { rows });
  linearBackward(space, modules.up, { x, dY: dUp, dX: dNormed }, { rows, add: true });
  normBackward(space, modules.ffnNorm, { x: mid, dY: dNormed, dX: dY }, { rows });
}

/** From the gradient of `mid` to that of the layer's input. */
function selfAttentionBackward(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  { x, attentionNormed, q, k, v, attended, mixed, behind }: LayerActivations,
  dMid: Tensor,
): Tensor {
  const { recorder, scratch, config, rotation, shape } = space;
  const { rows, positions, ranges, work } = batch;
  const width = paddedInner(config.hiddenSize);
  const [queries, keys] = [shape.heads, shape.kvHeads].map((heads) => heads * shape.headStride);
  const dMixed = scratch.get("d mixed", behind * width);
  const dQ = scratch.get("d q", rows * queries);
  const dK = scratch.get("d k", rows * keys);
  const dV = scratch.get("d v", rows * keys);
  const dNormed = scratch.get("d normed", rows * width);
  linearBackward(space, modules.attentionOut, { x: mixed, dY: dMid, dX: dMixed }, { rows: behind });
  const apart = mixed !== attended;
  const [dAttended, dX] = apart
    ? [scattered(space, batch, dMixed, "d attended"), scattered(space, batch, dMid, "d x")]
    : [dMixed, dMid];
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
  return dX;
}

/**
 * Records the gradients of all rows from those of the asked ones: the others' are zero.
 * @param from `[asked, padded columns]`
 * @returns `[rows, padded columns]`
 */
export function scattered(
  { recorder, scratch, config }: LayerSpace,
  { rows: tokens, asked, askedLists: lists, askedOrder: rows }: PreparedBatch,
  from: Tensor,
  name: string,
): Tensor {
  const stride = paddedInner(config.hiddenSize);
  const to = scratch.get(name, tokens * stride);
  recorder.clear(to.part(0, tokens * stride));
  const shape = { rows: asked, lists: asked, stride, tokens };
  embedBackward(recorder, { lists, rows, dX: from, dTable: to }, shape);
  return to;
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
