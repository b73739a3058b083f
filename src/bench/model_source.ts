/** Models that a bench loads in several schemes: a folder's, or one of random weights. */

import { basename, resolve } from "node:path";
import type { Gpu } from "../gpu/device.ts";
import { type ModelConfig, readConfig } from "../model/loading/config.ts";
import { loadModel } from "../model/loading/load.ts";
import type { LoadProgress } from "../model/loading/load.ts";
import { type DryRun, dryRun } from "../model/memory/dry_run.ts";
import { isStored, WEIGHT_CHOICES, type WeightChoice } from "../model/memory/plan_request.ts";
import { choicesOf, precisionOf } from "../model/memory/precision.ts";
import type { Model } from "../model/model.ts";
import { loadSynthetic, syntheticModel } from "../model/synthetic/synthetic.ts";
import type { SyntheticShape } from "../model/synthetic/synthetic_shape.ts";
import type { TileLookup } from "../model/tiles/tiled_matrix.ts";
import { GROUP_SIZES, quantised } from "../quant/scheme.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";

/** A model that can be loaded, in each of some schemes. */
export interface ModelSource {
  /** Name in output and errors. */
  readonly name: string;
  /** The whole model's. */
  readonly config: ModelConfig;
  /** How its layers can be kept, the largest first. */
  readonly choices: readonly WeightChoice[];
  /** Whether it can be loaded with fewer layers. */
  readonly shortens: boolean;
  /**
   * What the model with so many layers would take on the device.
   * @throws {GpuError} when the device cannot hold it, even with enough memory
   */
  plan(choice: WeightChoice, layers: number): Promise<DryRun>;
  /** @throws {GpuError} when the device cannot hold it */
  load(choice: WeightChoice, layers: number, onProgress: LoadProgress): Promise<Model>;
}

/** @throws {ConfigError} {@linkcode CheckpointError} when the folder is wrong or missing */
export function folderSource(gpu: Gpu, dir: string, tiles?: TileLookup): ModelSource {
  const config = readConfig(dir);
  return {
    name: basename(resolve(dir)),
    config,
    choices: choicesOf(config, undefined, undefined),
    shortens: false,
    async plan(choice) {
      using checkpoint = openCheckpoint(dir);
      return await dryRun(config, checkpoint, gpu, precisionOf(choice, {}, config));
    },
    load: (choice, _layers, onProgress) =>
      loadModel(gpu, dir, { precision: precisionOf(choice, {}, config), tiles, onProgress }),
  };
}

/** A shape with random weights, which need no file. Quantised ones are made as codes and scales. */
export function shapeSource(
  gpu: Gpu,
  name: string,
  shape: SyntheticShape,
  tiles?: TileLookup,
): ModelSource {
  const optionsOf = (choice: WeightChoice) =>
    isStored(choice)
      ? {}
      : { quantisation: { scheme: quantised(choice, GROUP_SIZES[0]), head: false } };
  using whole = syntheticModel(shape);
  return {
    name,
    config: whole.config,
    choices: WEIGHT_CHOICES,
    shortens: true,
    async plan(choice, layers) {
      using model = syntheticModel({ ...shape, layers }, optionsOf(choice));
      return await dryRun(model.config, model.checkpoint, gpu);
    },
    load: (choice, layers, onProgress) =>
      loadSynthetic(gpu, { ...shape, layers }, { ...optionsOf(choice), tiles, onProgress }),
  };
}
