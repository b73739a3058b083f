/** A model folder becomes a model on the GPU. */

import type { Gpu } from "../gpu/device.ts";
import { GpuError } from "../gpu/device.ts";
import { Recorder } from "../gpu/recorder.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import { readConfig } from "./config.ts";
import { uploadLlada } from "./llada.ts";
import { Model } from "./model.ts";
import { checkTensors } from "./tensors.ts";
import { type LoadProgress, WeightUpload } from "./upload.ts";

/**
 * Loads a folder in Hugging Face layout. Everything is checked before the first upload; after an
 * error nothing of the model stays on the GPU.
 * @param onProgress told after every piece
 * @throws {ConfigError} naming the field of config.json that is wrong or not supported
 * @throws {CheckpointError} naming the file or tensor that is wrong
 * @throws {GpuError} when the device cannot hold it
 */
export async function loadModel(
  gpu: Gpu,
  dir: string,
  onProgress?: LoadProgress,
): Promise<Model> {
  const config = readConfig(dir);
  using checkpoint = openCheckpoint(dir);
  checkTensors(config, checkpoint);
  const recorder = new Recorder(gpu);
  gpu.device.pushErrorScope("out-of-memory");
  let scoped = true;
  try {
    using upload = new WeightUpload(gpu, recorder, checkpoint, onProgress);
    const weights = await uploadLlada(upload, config);
    scoped = false;
    const error = await gpu.device.popErrorScope();
    if (error) {
      throw new GpuError(
        `${dir}: ${checkpoint.byteLength} bytes of weights do not fit the memory of ${gpu.name}: ` +
          error.message,
      );
    }
    return new Model(gpu, config, recorder, weights, await upload.release());
  } catch (error) {
    if (scoped) await gpu.device.popErrorScope();
    recorder[Symbol.dispose]();
    throw error;
  }
}
