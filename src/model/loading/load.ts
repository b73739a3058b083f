/** Loads a model folder onto the GPU. */

import { type Gpu, GpuError, GpuMemoryError } from "../../gpu/device.ts";
import type { Arithmetic, Element } from "../../gpu/kernel.ts";
import { Recorder } from "../../gpu/recorder.ts";
import { QUANTISED } from "../../quant/scheme.ts";
import { type Checkpoint, openCheckpoint } from "../../weights/checkpoint.ts";
import { limitContext, type ModelConfig, readConfig } from "./config.ts";
import { familyOf } from "../family.ts";
import { Model, type SharedLimits } from "../model.ts";
import { keptElement } from "../kv_cache.ts";
import { checkTensors } from "./tensors.ts";
import type { TileLookup } from "../tiles/tiled_matrix.ts";
import { type LoadProgress, type WeightPrecision, WeightUpload } from "./upload.ts";

export type { DeviceChoice } from "../../gpu/device_choice.ts";
export { type ProviderName, PROVIDERS } from "../../gpu/provider.ts";
export type { LoadProgress, WeightPrecision } from "./upload.ts";

/** Options of loading a model. */
export interface LoadModelOptions {
  /** Called after every uploaded piece. */
  readonly onProgress?: LoadProgress;
  /** Schemes of the matrices on the GPU; default: as they are stored in the folder. */
  readonly precision?: WeightPrecision;
  /** Type that keys and values are kept in; default: f16 if the device has it, else f32. */
  readonly kvCache?: Element;
  /** Tiles of the matrices that were tuned; default: none were. */
  readonly tiles?: TileLookup;
  /** Longest prompt plus answer, in tokens; default as config.json says. */
  readonly context?: number;
  /** What requests share of the model. */
  readonly shared?: SharedLimits;
  /** A resource that is disposed of together with the model. */
  readonly owned?: Disposable;
}

/**
 * Loads a folder in Hugging Face layout. Everything is checked before the first upload; after an
 * error nothing of the model stays on the GPU.
 * @throws {ConfigError} naming the field of config.json that is wrong or not supported
 * @throws {CheckpointError} naming the file or tensor that is wrong
 * @throws {GpuError} when the device cannot hold it
 */
export async function loadModel(
  gpu: Gpu,
  dir: string,
  options: LoadModelOptions = {},
): Promise<Model> {
  const config = limitContext(readConfig(dir), options.context);
  using checkpoint = openCheckpoint(dir);
  return await loadCheckpoint(gpu, config, checkpoint, { ...options, name: dir });
}

/**
 * Loads a checkpoint that is already open.
 * @param options.name name of the model in errors
 * @throws {CheckpointError} naming the tensor that is not as the configuration says
 * @throws {GpuError} when the device cannot hold it, or failed
 */
export async function loadCheckpoint(
  gpu: Gpu,
  config: ModelConfig,
  checkpoint: Checkpoint,
  { name, onProgress, precision, kvCache, tiles, shared, owned }: LoadModelOptions & {
    readonly name: string;
  },
): Promise<Model> {
  checkArithmetic(gpu, precision?.arithmetic);
  const element = keptElement(gpu, kvCache);
  checkTensors(config, checkpoint);
  const recorder = new Recorder(gpu);
  gpu.device.pushErrorScope("out-of-memory");
  let scoped = true;
  const checkMemory = async () => {
    scoped = false;
    const error = await gpu.device.popErrorScope();
    if (!error) return;
    throw new GpuMemoryError(
      `${name}: ${checkpoint.byteLength} bytes of weights do not fit the memory of ${gpu.name}: ` +
        `${error.message}. Free some of it, load in fewer bits ` +
        `(--weights ${
          QUANTISED.join(" or ")
        }), without a draft (--no-draft), or use a smaller model.`,
    );
  };
  try {
    await using upload = new WeightUpload(gpu, recorder, checkpoint, {
      stored: config.quantisation,
      arithmetic: precision?.arithmetic,
      tiles,
      onProgress,
    });
    const weights = await familyOf(config).upload(upload, config, precision);
    await checkMemory();
    const tensors = await upload.release();
    return new Model(gpu, config, recorder, weights, tensors, owned, element, shared);
  } catch (error) {
    recorder[Symbol.dispose]();
    // If memory ran out, that is the cause of any other error.
    if (scoped) await checkMemory();
    throw error;
  }
}

/** @throws {GpuError} when the device does not have this arithmetic */
function checkArithmetic(gpu: Gpu, arithmetic: Arithmetic | undefined): void {
  if (arithmetic !== "f16" || gpu.features.includes("shader-f16")) return;
  throw new GpuError(
    `${gpu.name} has no f16 arithmetic (shader-f16): choose arithmetic f32 or int8.`,
  );
}
