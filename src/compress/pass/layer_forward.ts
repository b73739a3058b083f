/** A transformer block in training: its forward pass, and what it leaves for the backward one. */

import type { Tensor } from "../../gpu/tensor.ts";
import { attention, type HeadShape } from "../../kernels/attention.ts";
import { rmsNorm } from "../../kernels/rms_norm.ts";
import { rotate } from "../../kernels/rotate.ts";
import { siluGate } from "../../kernels/silu_gate.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import { paddedInner } from "../../quant/scheme.ts";
import type { LayerModules } from "./layer_modules.ts";
import { linearForward, type ProductSpace } from "./linear_module.ts";
import type { Parameter } from "./parameters.ts";
import type { PreparedBatch } from "./prepared_batch.ts";

/** What the passes through layers share. */
export interface LayerSpace extends ProductSpace {
  readonly config: ModelConfig;
  readonly rotation: Tensor;
  readonly shape: HeadShape;
  /** Whether what the products of a layer make is kept for the backward pass. */
  readonly keepsActivations: boolean;
}

/** Results of a layer's forward pass, `[rows, padded columns]` each. */
export interface LayerActivations {
  /** Input of the layer; always kept. */
  readonly x: Tensor;
  /** Rotated. */
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly attended: Tensor;
  /** Behind the attention's residual addition. */
  readonly mid: Tensor;
  readonly gate: Tensor;
  readonly up: Tensor;
  /** Shared by all layers, and made again in the backward pass: they cost no product. */
  readonly attentionNormed: Tensor;
  readonly ffnNormed: Tensor;
  readonly act: Tensor;
}

/** Numbers of a row of each activation. */
export function activationWidths(config: ModelConfig, shape: HeadShape) {
  const width = paddedInner(config.hiddenSize);
  const ffn = paddedInner(config.ffnSize);
  const keys = shape.kvHeads * shape.headStride;
  return {
    kept: {
      q: shape.heads * shape.headStride,
      k: keys,
      v: keys,
      attended: width,
      mid: width,
      gate: ffn,
      up: ffn,
    },
    shared: { attentionNormed: width, ffnNormed: width, act: ffn },
  } as const;
}

/** Memory of a layer's activations; `x` of the layer behind the last is the result of all. */
export function layerActivations(space: LayerSpace, layer: number, rows: number): LayerActivations {
  const { scratch, config, shape, keepsActivations } = space;
  const { kept, shared } = activationWidths(config, shape);
  const get = (name: string, columns: number) => scratch.get(name, rows * columns);
  const made = [
    ...Object.entries(kept).map(([name, columns]) =>
      [name, get(keepsActivations ? `${name} of layer ${layer}` : name, columns)] as const
    ),
    ...Object.entries(shared).map(([name, columns]) => [name, get(name, columns)] as const),
  ];
  const named = Object.fromEntries(made) as unknown as Omit<LayerActivations, "x">;
  return { ...named, x: layerInput(space, layer, rows) };
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

/** Records a layer from `x` to `mid`. */
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
  recorder.copy(a.x, a.mid, 4 * rows * width);
  linearForward(space, modules.attentionOut, a.attended, a.mid, { rows, add: true });
}

/** Records a layer from `mid` to what its last product reads. */
export function gateForward(
  space: LayerSpace,
  { rows }: PreparedBatch,
  modules: LayerModules,
  a: LayerActivations,
): void {
  normForward(space, a.mid, modules.ffnNorm, a.ffnNormed, { rows });
  linearForward(space, modules.gate, a.ffnNormed, a.gate, { rows });
  linearForward(space, modules.up, a.ffnNormed, a.up, { rows });
  activate(space, a, rows);
}

/** Records the gated activation. */
export function activate(
  { recorder, config }: LayerSpace,
  { gate, up, act }: LayerActivations,
  rows: number,
): void {
  siluGate(recorder, gate, up, act, { rows, stride: paddedInner(config.ffnSize) });
}

/** Records a whole layer. @param out input of the next layer */
export function layerForward(
  space: LayerSpace,
  batch: PreparedBatch,
  modules: LayerModules,
  a: LayerActivations,
  out: Tensor,
): void {
  const { rows } = batch;
  attentionForward(space, batch, modules, a);
  gateForward(space, batch, modules, a);
  space.recorder.copy(a.mid, out, 4 * rows * paddedInner(space.config.hiddenSize));
  linearForward(space, modules.down, a.act, out, { rows, add: true });
}
