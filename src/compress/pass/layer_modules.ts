/** The tensors of a model in training, found by what they are for. */

import type { Adapters } from "./adapters.ts";
import type { LinearModule } from "./linear_module.ts";
import type { PackedMatrix } from "./packed_matrix.ts";
import { parameterName } from "./parameter_layout.ts";
import type { Parameter, TrainingParameters } from "./parameters.ts";

/** One transformer block. */
export interface LayerModules {
  readonly attentionNorm: Parameter;
  readonly q: LinearModule;
  readonly k: LinearModule;
  readonly v: LinearModule;
  readonly attentionOut: LinearModule;
  readonly ffnNorm: Parameter;
  readonly gate: LinearModule;
  readonly up: LinearModule;
  readonly down: LinearModule;
}

/** All of a model. */
export interface Modules {
  readonly embedding: Parameter | PackedMatrix;
  readonly layers: readonly LayerModules[];
  readonly finalNorm: Parameter;
  /** The embedding itself where the two are tied. */
  readonly head: LinearModule;
}

/** Finds the tensors of a model. */
export function modulesOf(parameters: TrainingParameters, adapters?: Adapters): Modules {
  const { layers, tiedHead } = parameters.config;
  const get = (tensor: string, layer?: number) => parameters.get(parameterName(tensor, layer));
  const matrix = (tensor: string, layer?: number) => {
    const name = parameterName(tensor, layer);
    return parameters.packed.get(name) ?? parameters.get(name);
  };
  const linear = (tensor: string, layer?: number): LinearModule => {
    const weight = matrix(tensor, layer);
    return { weight, adapter: adapters?.of(weight.name) };
  };
  return {
    embedding: matrix("wte"),
    layers: Array.from({ length: layers }, (_, i) => ({
      attentionNorm: get("attn_norm", i),
      q: linear("q_proj", i),
      k: linear("k_proj", i),
      v: linear("v_proj", i),
      attentionOut: linear("attn_out", i),
      ffnNorm: get("ff_norm", i),
      gate: linear("ff_proj", i),
      up: linear("up_proj", i),
      down: linear("ff_out", i),
    })),
    finalNorm: get("ln_f"),
    head: linear(tiedHead ? "wte" : "ff_out"),
  };
}
