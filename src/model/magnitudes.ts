/** Adds up how much the channels inside a model's layers carry, for pruning. */

import type { Readback } from "../gpu/readback.ts";
import { sumMagnitudes } from "../kernels/sum_magnitudes.ts";
import { paddedInner } from "../quant/scheme.ts";
import type { RowBatch } from "./forward_pass.ts";
import type { ModelConfig } from "./model_config.ts";
import type { PredictionContext } from "./prediction_pass.ts";

/** Sums of magnitudes over the rows of forward passes. */
export interface Magnitudes {
  /** Number of rows, which are positions of sequences. */
  rows: number;
  /** Per layer `[ffnSize]`: sum of `|silu(gate) * up|` of every neuron. */
  readonly gated: readonly Float64Array[];
  /** Per layer `[hiddenSize]`: sum of the magnitudes that the heads give to the output projection. */
  readonly attended: readonly Float64Array[];
}

/** Sums of no rows. */
export function noMagnitudes({ layers, ffnSize, hiddenSize }: ModelConfig): Magnitudes {
  const zeros = (length: number) => Array.from({ length: layers }, () => new Float64Array(length));
  return { rows: 0, gated: zeros(ffnSize), attended: zeros(hiddenSize) };
}

/** Elements that a layer's sums begin at a multiple of: what every device can bind. */
const ALIGNED = 64;

/** Runs all layers on a batch, and adds its sums to those of other batches. */
export async function addMagnitudes(
  context: PredictionContext,
  readback: Readback,
  batch: RowBatch,
  to: Magnitudes,
): Promise<void> {
  const { recorder, scratch, config, family } = context;
  const { layers, ffnSize, hiddenSize } = config;
  const apart = (columns: number) => Math.ceil(columns / ALIGNED) * ALIGNED;
  const [ofNeurons, ofChannels] = [apart(ffnSize), apart(hiddenSize)];
  // One tensor, since every readback waits.
  const sums = scratch.get("magnitudes", layers * (ofNeurons + ofChannels));
  const neuronsOf = (layer: number) => layer * (ofNeurons + ofChannels);
  const channelsOf = (layer: number) => neuronsOf(layer) + ofNeurons;
  const begun = new Set<number>();
  family.forward(context, batch, {
    attended(layer, outputs) {
      sumMagnitudes(recorder, outputs, sums.part(channelsOf(layer), ofChannels), {
        rows: batch.rows,
        columns: hiddenSize,
        stride: paddedInner(hiddenSize),
      });
    },
    gated(layer, activations, rows) {
      sumMagnitudes(recorder, activations, sums.part(neuronsOf(layer), ofNeurons), {
        rows,
        columns: ffnSize,
        stride: paddedInner(ffnSize),
        add: begun.has(layer),
      });
      begun.add(layer);
    },
  });
  const bytes = 4 * layers * (ofNeurons + ofChannels);
  const found = new Float32Array(await readback.read(recorder, sums, bytes));
  for (let layer = 0; layer < layers; layer++) {
    add(to.gated[layer], found, neuronsOf(layer));
    add(to.attended[layer], found, channelsOf(layer));
  }
  to.rows += batch.rows;
}

function add(to: Float64Array, from: Float32Array, first: number): void {
  for (let i = 0; i < to.length; i++) to[i] += from[first + i];
}
