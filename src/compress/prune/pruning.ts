/** What a pruned model keeps of another: layers as they are, and of each some neurons of its FFN. */

import type { ModelConfig } from "../../model/model_config.ts";

/** What is kept, by index in the original. */
export interface Pruning {
  /** Layers, ascending. */
  readonly layers: readonly number[];
  /** For each kept layer its FFN neurons, ascending; as many in each. */
  readonly neurons: readonly Uint32Array[];
}

/** For every layer of a model one number per neuron, the larger the more it is worth. */
export type Importance = readonly ArrayLike<number>[];

/** How much is to be kept. */
export interface PruningChoice {
  /** Layers that are removed whole. */
  readonly dropLayers: readonly number[];
  /** Share of the neurons that are kept, in (0, 1]. */
  readonly ffnKeep: number;
  /** Of every layer; not needed where all neurons are kept. */
  readonly importance?: Importance;
}

type Sizes = Pick<ModelConfig, "layers" | "ffnSize">;

/**
 * Decides what is kept.
 * @throws {RangeError} when nothing would be left, a layer is not there, or importances are missing or
 * of another model
 */
export function choosePruning(
  config: Sizes,
  { dropLayers, ffnKeep, importance }: PruningChoice,
): Pruning {
  const wrong = dropLayers.find((layer) =>
    !Number.isInteger(layer) || layer < 0 || layer >= config.layers
  );
  if (wrong !== undefined) {
    throw new RangeError(
      `there is no layer ${wrong} to drop: the model has layers 0 to ${config.layers - 1}`,
    );
  }
  const dropped = new Set(dropLayers);
  const layers = [...Array(config.layers).keys()].filter((layer) => !dropped.has(layer));
  if (layers.length === 0) throw new RangeError("no layer would be left. Drop fewer.");
  if (!(ffnKeep > 0 && ffnKeep <= 1)) {
    throw new RangeError(`the share of neurons to keep is ${ffnKeep}, expected above 0, up to 1`);
  }
  const count = Math.max(1, Math.round(ffnKeep * config.ffnSize));
  if (count < config.ffnSize) checkImportance(config, importance);
  const all = () => Uint32Array.from({ length: config.ffnSize }, (_, neuron) => neuron);
  return {
    layers,
    neurons: layers.map((layer) =>
      count === config.ffnSize ? all() : strongest(importance![layer], count)
    ),
  };
}

/** @throws {RangeError} when there is not one number for each neuron of each layer */
function checkImportance(config: Sizes, importance: Importance | undefined): void {
  if (!importance) throw new RangeError("without importances it is not known what may be removed");
  if (importance.length !== config.layers) {
    throw new RangeError(
      `importances of ${importance.length} layers, expected ${config.layers} as the model has`,
    );
  }
  for (const [layer, values] of importance.entries()) {
    if (values.length !== config.ffnSize) {
      throw new RangeError(
        `importances of ${values.length} neurons in layer ${layer}, expected ${config.ffnSize}`,
      );
    }
    for (let i = 0; i < values.length; i++) {
      if (values[i] >= 0 && values[i] < Infinity) continue;
      throw new RangeError(`the importance of neuron ${i} of layer ${layer} is ${values[i]}`);
    }
  }
}

/**
 * Indices of the largest values, ascending. Of equal ones the earlier are kept.
 * @param count at most as many as there are
 */
export function strongest(values: ArrayLike<number>, count: number): Uint32Array {
  const order = Uint32Array.from({ length: values.length }, (_, i) => i)
    .sort((a, b) => values[b] - values[a] || a - b);
  return order.subarray(0, count).sort();
}

/** The configuration of what is kept. */
export function prunedConfig(config: ModelConfig, { layers, neurons }: Pruning): ModelConfig {
  return { ...config, layers: layers.length, ffnSize: neurons[0].length };
}
