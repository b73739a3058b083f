/** Models of any shape with seeded random weights: to time and to test what cannot be downloaded. */

import type { Gpu } from "../gpu/device.ts";
import type { FloatDType } from "../gpu/dtype.ts";
import { Checkpoint } from "../weights/checkpoint.ts";
import type { JsonObject } from "../weights/json_file.ts";
import { type ModelConfig, parseConfig, type StoredQuantisation } from "./config.ts";
import { loadCheckpoint, type LoadModelOptions } from "./load.ts";
import type { Model } from "./model.ts";
import { syntheticConfig, type SyntheticShape } from "./synthetic_shape.ts";
import { SyntheticWeights } from "./synthetic_weights.ts";

/** What is drawn. */
export interface SyntheticOptions {
  /** Same seed, same weights; default 1. */
  readonly seed?: number;
  /** Type of the weights that are not quantised; default BF16. */
  readonly dtype?: FloatDType;
  /** How quantised matrices are stored; default: none is. */
  readonly quantisation?: StoredQuantisation;
}

/** A model folder's content without the folder. */
export interface SyntheticModel extends Disposable {
  /** `config.json` */
  readonly json: JsonObject;
  readonly config: ModelConfig;
  /** The weights; bytes are made when they are read. */
  readonly checkpoint: Checkpoint;
}

/** What stands for a path in errors. */
const FILE = "synthetic weights";

/**
 * Draws a model of this shape. Quantised, it holds what quantising the same seed's floats gives.
 * @throws {ConfigError} naming the size that does not go with another
 */
export function syntheticModel(
  shape: SyntheticShape,
  options: SyntheticOptions = {},
): SyntheticModel {
  const json = syntheticConfig(shape, options);
  const config = parseConfig(json, FILE);
  const checkpoint = new Checkpoint(FILE, [new SyntheticWeights(FILE, config, options)]);
  return { json, config, checkpoint, [Symbol.dispose]: () => checkpoint[Symbol.dispose]() };
}

/**
 * Loads a model of this shape without a file: its weights go straight to the GPU.
 * @throws {ConfigError} naming the size that does not go with another
 * @throws {GpuError} when the device cannot hold it
 */
export async function loadSynthetic(
  gpu: Gpu,
  shape: SyntheticShape,
  options: SyntheticOptions & LoadModelOptions = {},
): Promise<Model> {
  using model = syntheticModel(shape, options);
  return await loadCheckpoint(gpu, model.config, model.checkpoint, { ...options, name: FILE });
}
