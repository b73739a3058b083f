/** The backward pass of a transformer block, from its result to its input. */

import type { Tensor } from "../../gpu/tensor.ts";
import { attentionBackward } from "../../kernels/attention_backward.ts";
import { embedBackward } from "../../kernels/embed_backward.ts";
import { rmsNormBackward } from "../../kernels/rms_norm_backward.ts";
import { siluGateBackward } from "../../kernels/silu_gate_backward.ts";
import { paddedInner } from "../../quant/scheme.ts";
import {
  attentionForward,
  feedForward,
  type LayerActivations,
  layerActivations,
  type LayerSpace,
  rotateHeads,
} from "./layer_forward.ts";
import type { LayerModules } from "./layer_modules.ts";
import { linearBackward } from "./linear_module.ts";
import type { Parameter } from "./parameters.ts";
import type { PreparedBatch } from "./prepared_batch.ts";

/** Called with the gradient of a named activation, `[rows, padded columns]`. */
export type GradientObserver = (name: string, gradient: Tensor) => void;

/**
 * Records the gradients of a layer. Those of its parameters join what they hold.
 * @param dY gradient of the layer's result, `[rows of its queries, padded columns]`, written over
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
    feedForward(space, modules, a);
  }
  feedForwardBackward(space, modules, a, dY);
  return selfAttentionBackward(space, batch, modules, a, dY);
}

/** From the gradient of a layer's result to that of `mid`, in place. */
function feedForwardBackward(
  space: LayerSpace,
  modules: LayerModules,
  { mid, ffnNormed, gate, up, act, queries: { rows } }: LayerActivations,
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
  { x, attentionNormed, k, v, queries, queryNormed, q, attended }: LayerActivations,
  dMid: Tensor,
): Tensor {
  const { recorder, scratch, config, shape } = space;
  const { rows } = batch;
  const { heads, kvHeads, headStride } = shape;
  const width = paddedInner(config.hiddenSize);
  const dY = scratch.get("d attended", queries.rows * width);
  const dQ = scratch.get("d q", queries.rows * heads * headStride);
  const dK = scratch.get("d k", rows * kvHeads * headStride);
  const dV = scratch.get("d v", rows * kvHeads * headStride);
  const dX = scratch.get("d normed", rows * width);
  linearBackward(space, modules.attentionOut, { x: attended, dY: dMid, dX: dY }, queries);
  const { ranges, work } = queries;
  attentionBackward(
    recorder,
    { q, k, v, y: attended, dY, dQ, dK, dV, ranges },
    shape,
    { work, yStride: width, rows: queries.rows, keys: rows, scratch },
  );
  rotateHeads(space, dQ, queries, heads, true);
  rotateHeads(space, dK, batch, kvHeads, true);
  linearBackward(space, modules.k, { x: attentionNormed, dY: dK, dX }, { rows });
  linearBackward(space, modules.v, { x: attentionNormed, dY: dV, dX }, { rows, add: true });
  if (queryNormed === attentionNormed) {
    linearBackward(space, modules.q, { x: attentionNormed, dY: dQ, dX }, { rows, add: true });
    normBackward(space, modules.attentionNorm, { x, dY: dX, dX: dMid }, { rows });
    return dMid;
  }
  const own = scratch.get("d asked normed", queries.rows * width);
  linearBackward(space, modules.q, { x: queryNormed, dY: dQ, dX: own }, queries);
  scatter(space, batch, own, dX);
  const dInput = scattered(space, batch, dMid, "d x");
  normBackward(space, modules.attentionNorm, { x, dY: dX, dX: dInput }, { rows });
  return dInput;
}

/** Adds rows to the asked ones of others. @param from `[asked, padded columns]` */
function scatter(
  { recorder, config }: LayerSpace,
  { rows: tokens, asked, askedLists: lists, askedOrder: rows }: PreparedBatch,
  from: Tensor,
  to: Tensor,
): void {
  const shape = { rows: asked, lists: asked, stride: paddedInner(config.hiddenSize), tokens };
  embedBackward(recorder, { lists, rows, dX: from, dTable: to }, shape);
}

/**
 * Records the gradients of all rows from those of the asked ones: the others' are zero.
 * @param from `[asked, padded columns]`
 * @returns `[rows, padded columns]`
 */
export function scattered(
  space: LayerSpace,
  batch: PreparedBatch,
  from: Tensor,
  name: string,
): Tensor {
  const elements = batch.rows * paddedInner(space.config.hiddenSize);
  const to = space.scratch.get(name, elements);
  space.recorder.clear(to.part(0, elements));
  scatter(space, batch, from, to);
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
