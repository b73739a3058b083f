/** A transformer block in training: its forward pass, and what it leaves for the backward one. */

import type { Tensor } from "../../gpu/tensor.ts";
import { attention, type HeadShape } from "../../kernels/attention.ts";
import { embedRows } from "../../kernels/embed_rows.ts";
import { rmsNorm } from "../../kernels/rms_norm.ts";
import { rotate } from "../../kernels/rotate.ts";
import { siluGate } from "../../kernels/silu_gate.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import { paddedInner } from "../../quant/scheme.ts";
import type { LayerModules } from "./layer_modules.ts";
import { linearForward } from "./linear_module.ts";
import type { Parameter } from "./parameters.ts";
import type { PreparedBatch } from "./prepared_batch.ts";
import type { ProductSpace } from "./product_space.ts";

/** What the passes through layers share. */
export interface LayerSpace extends ProductSpace {
  readonly config: ModelConfig;
  readonly rotation: Tensor;
  readonly shape: HeadShape;
  /** Whether all that a layer makes is kept for the backward pass; else it is made again there. */
  readonly keepsActivations: boolean;
}

/** Results of a layer's forward pass, `[rows, padded columns]` each. */
export interface LayerActivations {
  /** Input of the layer; always kept. */
  readonly x: Tensor;
  readonly attentionNormed: Tensor;
  /** Rotated. */
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly attended: Tensor;
  /** Rows behind the attention: nothing reads others than the asked ones of the last layer. */
  readonly behind: number;
  /** `x` and `attended` in these rows. */
  readonly residual: Tensor;
  readonly mixed: Tensor;
  /** `[behind, padded columns]`, as all that follows: behind the attention's residual addition. */
  readonly mid: Tensor;
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly ffnNormed: Tensor;
  readonly act: Tensor;
}

/**
 * Numbers of a row of each activation that every layer has of its own where activations are kept, and
 * all layers together where they are not; and of those that all have together in any case.
 */
export function activationWidths(config: ModelConfig, { heads, kvHeads, headStride }: HeadShape) {
  const width = paddedInner(config.hiddenSize);
  const ffn = paddedInner(config.ffnSize);
  const kept = {
    attentionNormed: width,
    q: heads * headStride,
    k: kvHeads * headStride,
    v: kvHeads * headStride,
    attended: width,
    mid: width,
    ffnNormed: width,
    gate: ffn,
    up: ffn,
    act: ffn,
  };
  const shared: Readonly<Record<string, number>> = {};
  return { kept, shared };
}

/** Memory of a layer's activations. */
export function layerActivations(
  space: LayerSpace,
  layer: number,
  { rows, asked }: PreparedBatch,
): LayerActivations {
  const { scratch, config, shape, keepsActivations } = space;
  const { kept } = activationWidths(config, shape);
  const last = layer === config.layers - 1;
  const behind = last ? asked : rows;
  const get = (name: keyof typeof kept, rows: number) =>
    scratch.get(keepsActivations ? `${name} of layer ${layer}` : name, rows * kept[name]);
  const [x, attended] = [layerInput(space, layer, rows), get("attended", rows)];
  const width = kept.mid;
  return {
    x,
    attentionNormed: get("attentionNormed", rows),
    q: get("q", rows),
    k: get("k", rows),
    v: get("v", rows),
    attended,
    behind,
    residual: last ? scratch.get("asked x", asked * width) : x,
    mixed: last ? scratch.get("asked attended", asked * width) : attended,
    mid: get("mid", behind),
    gate: get("gate", behind),
    up: get("up", behind),
    ffnNormed: get("ffnNormed", behind),
    act: get("act", behind),
  };
}

/** Input of a layer, or the result of the last. `[rows, padded columns]` */
export function layerInput(
  { scratch, config }: LayerSpace,
  layer: number,
  rows: number,
): Tensor {
  return scratch.get(`x of layer ${layer}`, rows * paddedInner(config.hiddenSize));
}

/** Records the norm of rows. */
export function normForward(
  { recorder, config }: LayerSpace,
  x: Tensor,
  weight: Parameter,
  y: Tensor,
  rows: { readonly rows: number; readonly xRows?: number; readonly rowIndex?: Tensor },
): void {
  rmsNorm(recorder, x, weight.weight, y, {
    ...rows,
    xRows: rows.xRows ?? rows.rows,
    columns: config.hiddenSize,
    stride: paddedInner(config.hiddenSize),
    epsilon: config.normEpsilon,
  });
}

/** Records a layer from `x` to `attended`. */
export function attentionForward(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  a: LayerActivations,
): void {
  const { recorder, scratch, config, rotation, shape } = space;
  const { rows, positions, ranges, work } = batch;
  const width = paddedInner(config.hiddenSize);
  normForward(space, a.x, modules.attentionNorm, a.attentionNormed, { rows });
  linearForward(space, modules.q, a.attentionNormed, a.q, { rows });
  linearForward(space, modules.k, a.attentionNormed, a.k, { rows });
  linearForward(space, modules.v, a.attentionNormed, a.v, { rows });
  for (const [tensor, heads] of [[a.q, shape.heads], [a.k, shape.kvHeads]] as const) {
    rotate(recorder, tensor, positions, rotation, {
      rows,
      heads,
      shape,
      stride: heads * shape.headStride,
    });
  }
  const tensors = { q: a.q, k: a.k, v: a.v, sequences: ranges, y: a.attended };
  attention(recorder, tensors, shape, { work, yStride: width, scratch });
}

/** Records a copy of the asked rows. `[asked, stride]` */
function gather(
  { recorder }: LayerSpace,
  { rows: tokens, asked: rows, askedRows }: PreparedBatch,
  from: Tensor,
  to: Tensor,
  stride: number,
): void {
  embedRows(recorder, askedRows, from, to, { rows, stride, tokens });
}

/** Records a layer from `attended` to what its last product reads. */
export function feedForward(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  a: LayerActivations,
): void {
  const { behind: rows, residual, mixed, mid } = a;
  const width = paddedInner(space.config.hiddenSize);
  if (residual !== a.x) gather(space, batch, a.x, residual, width);
  if (mixed !== a.attended) gather(space, batch, a.attended, mixed, width);
  space.recorder.copy(residual, mid, 4 * rows * width);
  linearForward(space, modules.attentionOut, mixed, mid, { rows, add: true });
  normForward(space, mid, modules.ffnNorm, a.ffnNormed, { rows });
  linearForward(space, modules.gate, a.ffnNormed, a.gate, { rows });
  linearForward(space, modules.up, a.ffnNormed, a.up, { rows });
  const stride = paddedInner(space.config.ffnSize);
  siluGate(space.recorder, a.gate, a.up, a.act, { rows, stride });
}

/**
 * Records a whole layer.
 * @returns its result, `[rows behind its attention, padded columns]`: input of the next layer
 */
export function layerForward(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  layer: number,
): Tensor {
  const a = layerActivations(space, layer, batch);
  const { behind: rows } = a;
  attentionForward(space, batch, modules, a);
  feedForward(space, batch, modules, a);
  const out = layerInput(space, layer + 1, rows);
  space.recorder.copy(a.mid, out, 4 * rows * paddedInner(space.config.hiddenSize));
  linearForward(space, modules.down, a.act, out, { rows, add: true });
  return out;
}
