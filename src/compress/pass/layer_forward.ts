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
import type { PreparedBatch, QueryRows } from "./prepared_batch.ts";
import type { ProductSpace } from "./product_space.ts";

/** What the passes through layers share. */
export interface LayerSpace extends ProductSpace {
  readonly config: ModelConfig;
  readonly rotation: Tensor;
  readonly shape: HeadShape;
  /** Whether all that a layer makes is kept for the backward pass; else it is made again there. */
  readonly keepsActivations: boolean;
}

/** Results of a layer's forward pass. */
export interface LayerActivations {
  /** Input of the layer, `[rows, padded columns]` as what follows; always kept. */
  readonly x: Tensor;
  readonly attentionNormed: Tensor;
  /** Rotated. */
  readonly k: Tensor;
  readonly v: Tensor;
  /** The rows that attend: of the last layer the asked ones alone, of others all. */
  readonly queries: QueryRows;
  /** `x` and `attentionNormed` in these rows; `[rows of queries, padded columns]` as what follows. */
  readonly residual: Tensor;
  readonly queryNormed: Tensor;
  /** Rotated. */
  readonly q: Tensor;
  readonly attended: Tensor;
  /** Behind the attention's residual addition. */
  readonly mid: Tensor;
  readonly ffnNormed: Tensor;
  readonly gate: Tensor;
  readonly up: Tensor;
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
  batch: PreparedBatch,
): LayerActivations {
  const { scratch, config, shape, keepsActivations } = space;
  const { kept } = activationWidths(config, shape);
  const last = layer === config.layers - 1;
  const queries = last ? batch.askedQueries : batch;
  const of = (rows: number) => (name: keyof typeof kept) =>
    scratch.get(keepsActivations ? `${name} of layer ${layer}` : name, rows * kept[name]);
  const [all, asking] = [of(batch.rows), of(queries.rows)];
  const x = layerInput(space, layer, batch.rows);
  const attentionNormed = all("attentionNormed");
  const gathered = (name: string) => scratch.get(`asked ${name}`, queries.rows * kept.mid);
  return {
    x,
    attentionNormed,
    k: all("k"),
    v: all("v"),
    queries,
    residual: last ? gathered("x") : x,
    queryNormed: last ? gathered("attentionNormed") : attentionNormed,
    q: asking("q"),
    attended: asking("attended"),
    mid: asking("mid"),
    ffnNormed: asking("ffnNormed"),
    gate: asking("gate"),
    up: asking("up"),
    act: asking("act"),
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
  const { recorder, scratch, config, shape } = space;
  const { rows } = batch;
  const { queries } = a;
  const width = paddedInner(config.hiddenSize);
  normForward(space, a.x, modules.attentionNorm, a.attentionNormed, { rows });
  if (a.queryNormed !== a.attentionNormed) {
    gather(space, batch, a.attentionNormed, a.queryNormed);
    gather(space, batch, a.x, a.residual);
  }
  linearForward(space, modules.q, a.queryNormed, a.q, queries);
  linearForward(space, modules.k, a.attentionNormed, a.k, { rows });
  linearForward(space, modules.v, a.attentionNormed, a.v, { rows });
  rotateHeads(space, a.q, queries, shape.heads);
  rotateHeads(space, a.k, batch, shape.kvHeads);
  const tensors = { q: a.q, k: a.k, v: a.v, sequences: queries.ranges, y: a.attended };
  attention(recorder, tensors, shape, { work: queries.work, yStride: width, scratch });
}

/** Records the rotation of heads by their rows' positions, or its inverse, in place. */
export function rotateHeads(
  { recorder, rotation, shape }: LayerSpace,
  x: Tensor,
  { rows, positions }: QueryRows,
  heads: number,
  inverse = false,
): void {
  const stride = heads * shape.headStride;
  rotate(recorder, x, positions, rotation, { rows, heads, shape, stride, inverse });
}

/** Records a copy of the asked rows. `[asked, padded columns]` */
function gather(
  { recorder, config }: LayerSpace,
  { rows: tokens, asked: rows, askedRows }: PreparedBatch,
  from: Tensor,
  to: Tensor,
): void {
  embedRows(recorder, askedRows, from, to, {
    rows,
    stride: paddedInner(config.hiddenSize),
    tokens,
  });
}

/** Records a layer from `attended` to what its last product reads. */
export function feedForward(space: LayerSpace, modules: LayerModules, a: LayerActivations): void {
  const { queries: { rows }, residual, attended, mid } = a;
  const width = paddedInner(space.config.hiddenSize);
  space.recorder.copy(residual, mid, 4 * rows * width);
  linearForward(space, modules.attentionOut, attended, mid, { rows, add: true });
  normForward(space, mid, modules.ffnNorm, a.ffnNormed, { rows });
  linearForward(space, modules.gate, a.ffnNormed, a.gate, { rows });
  linearForward(space, modules.up, a.ffnNormed, a.up, { rows });
  const stride = paddedInner(space.config.ffnSize);
  siluGate(space.recorder, a.gate, a.up, a.act, { rows, stride });
}

/**
 * Records a whole layer.
 * @returns its result, `[rows of its queries, padded columns]`: input of the next layer
 */
export function layerForward(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  layer: number,
): Tensor {
  const a = layerActivations(space, layer, batch);
  const { rows } = a.queries;
  attentionForward(space, batch, modules, a);
  feedForward(space, modules, a);
  const out = layerInput(space, layer + 1, rows);
  space.recorder.copy(a.mid, out, 4 * rows * paddedInner(space.config.hiddenSize));
  linearForward(space, modules.down, a.act, out, { rows, add: true });
  return out;
}
