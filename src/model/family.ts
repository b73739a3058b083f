/** The model families, by a folder's `model_type`. */

import type { Tensor } from "../gpu/tensor.ts";
import type { ForwardPass, ModelWeights, PassObserver, RowBatch } from "./forward_pass.ts";
import * as llada from "./llada.ts";
import type { Fields } from "./loading/config_fields.ts";
import type { WeightPrecision, WeightUpload } from "./loading/upload.ts";
import type { FloatTensor, ModelConfig } from "./model_config.ts";

/** Interface that the file of a model family exports. */
export interface Family {
  /**
   * Reads the family's own fields of config.json: all but `model_type` and the quantisation.
   * @throws {ConfigError} naming the field that is missing, wrong or not supported
   */
  readConfig(fields: Fields): Omit<ModelConfig, "modelType" | "quantisation">;
  /** Every tensor of a checkpoint of floats, in the order in which it is written. */
  tensors(config: ModelConfig): readonly FloatTensor[];
  /**
   * Names of a head that is tied to the embedding, as some checkpoints store it nevertheless, and of
   * the embedding; undefined where the head is not tied.
   */
  tiedHead?(config: ModelConfig): { readonly head: string; readonly embedding: string } | undefined;
  /**
   * Uploads a checkpoint.
   * @param precision schemes on the GPU; the embedding stays as it is stored
   * @throws {CheckpointError} when a tensor does not match the configuration
   */
  upload(
    to: WeightUpload,
    config: ModelConfig,
    precision?: WeightPrecision,
  ): Promise<ModelWeights>;
  /**
   * Records the embedding and all layers.
   * @param observe is shown what a model computes on its way
   * @returns hidden states before the final norm, `[rows, paddedInner(hiddenSize)]`
   */
  forward(pass: ForwardPass, batch: RowBatch, observe?: PassObserver): Tensor;
}

/** Families by `model_type`. */
export const FAMILIES: Readonly<Record<string, Family>> = {
  llada,
};

/** The family of a configuration that `readConfig` of loading/config.ts gave. */
export function familyOf({ modelType }: Pick<ModelConfig, "modelType">): Family {
  return FAMILIES[modelType];
}
