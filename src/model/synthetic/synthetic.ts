/**
 * Models of any shape with seeded random weights, to time and test sizes that cannot be downloaded.
 */

import type { Gpu } from "../../gpu/device.ts";
import type { FloatDType } from "../../gpu/dtype.ts";
import { Checkpoint } from "../../weights/checkpoint.ts";
import { copiedTensor, type FolderContent } from "../../weights/folder_writer.ts";
import type { JsonObject } from "../../weights/json_file.ts";
import {
  ConfigError,
  type ModelConfig,
  parseConfig,
  type StoredQuantisation,
} from "../loading/config.ts";
import { loadCheckpoint, type LoadModelOptions } from "../loading/load.ts";
import type { Model } from "../model.ts";
import { syntheticConfig, type SyntheticShape } from "./synthetic_shape.ts";
import { SyntheticWeights } from "./synthetic_weights.ts";

/** Options of a synthetic model. */
export interface SyntheticOptions {
  /** Seed of the weights; default 1. */
  readonly seed?: number;
  /** Type of the weights that are not quantised; default BF16. */
  readonly dtype?: FloatDType;
  /** How quantised matrices are stored; default: none are quantised. */
  readonly quantisation?: StoredQuantisation;
}

/** The content of a model folder, without a folder on disk. */
export interface SyntheticModel extends Disposable {
  /** `config.json` */
  readonly json: JsonObject;
  readonly config: ModelConfig;
  /** The weights; bytes are made when they are read. */
  readonly checkpoint: Checkpoint;
}

/** Used in errors instead of a path. */
const FILE = "synthetic weights";

/**
 * Makes a model of a shape. A quantised one equals the quantised float model of the same seed.
 * @throws {ConfigError} naming a size that does not fit the others
 */
export function syntheticModel(
  shape: SyntheticShape,
  options: SyntheticOptions = {},
): SyntheticModel {
  const json = syntheticConfig(shape, options);
  const config = checkedConfig(json);
  const checkpoint = new Checkpoint(FILE, [new SyntheticWeights(FILE, config, options)]);
  return { json, config, checkpoint, [Symbol.dispose]: () => checkpoint[Symbol.dispose]() };
}

function checkedConfig(json: JsonObject): ModelConfig {
  try {
    return parseConfig(json, FILE);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { file, field, found, expected } = error;
    throw new ConfigError({ file, field, found, expected, remedy: "Give another size." });
  }
}

/**
 * Loads a model of a shape straight onto the GPU, without a file.
 * @throws {ConfigError} naming a size that does not fit the others
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

/** Options of a folder of synthetic weights. */
export interface SyntheticFolderOptions extends SyntheticOptions {
  /** Limit of the tensors in one file, in bytes. */
  readonly shardBytes: number;
  /** Paths of files to copy beside the weights, such as a tokenizer's. */
  readonly copies?: readonly string[];
}

/**
 * The content of a folder with a model of a shape, to be planned and written; dispose of it
 * afterwards.
 * @throws {ConfigError} naming a size that does not fit the others
 */
export function syntheticFolder(
  shape: SyntheticShape,
  { shardBytes, copies = [], ...options }: SyntheticFolderOptions,
): FolderContent & Disposable {
  const model = syntheticModel(shape, options);
  const { json, checkpoint } = model;
  const groups = [...checkpoint.tensors.values()].map((slice) => copiedTensor(checkpoint, slice));
  const { seed = 1 } = options;
  const settings = { made_by: "unmask synth", seed, shard_bytes: shardBytes, ...json };
  const dispose = () => model[Symbol.dispose]();
  return { config: json, groups, copies, shardBytes, settings, [Symbol.dispose]: dispose };
}
