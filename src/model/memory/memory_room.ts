/** Checks that models fit a device when there is no choice of precision to plan. */

import { type Gpu, GpuError } from "../../gpu/device.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import type { ModelConfig } from "../loading/config.ts";
import type { Element } from "../../gpu/kernel.ts";
import { freeHostBytes } from "./host_memory.ts";
import { bytesOf, type ModelBytes } from "./model_memory.ts";
import { binarySize } from "./binary_size.ts";
import type { DeviceLimits } from "./counting_gpu.ts";
import { dryRun } from "./dry_run.ts";
import { checkTensors } from "../loading/tensors.ts";
import type { WeightPrecision } from "../loading/upload.ts";

/** A model that is about to be loaded. */
export interface AskedModel {
  /** Name of the model in errors. */
  readonly name: string;
  readonly config: ModelConfig;
  readonly checkpoint: Checkpoint;
  readonly precision?: WeightPrecision;
  /** Type that keys and values are kept in; default: none are kept. */
  readonly kvCache?: Element;
}

/**
 * Checks, before anything is uploaded, that loading the models one after another and a forward pass
 * of `tokens` through each fit the memory.
 * @param free bytes that may be used; default: on a software adapter the free memory of the host
 * (with more, the system would kill the program)
 * @returns peak of the bytes in use
 * @throws {GpuError} when they do not fit, saying by how much
 * @throws {CheckpointError} naming the tensor that is not as the configuration says
 */
export async function checkRoom(
  gpu: DeviceLimits & Pick<Gpu, "software">,
  models: readonly AskedModel[],
  tokens: number,
  free: number = freeHostBytes(gpu) ?? Infinity,
): Promise<number> {
  const memories: ModelBytes[] = [];
  for (const { config, checkpoint, precision, kvCache } of models) {
    checkTensors(config, checkpoint);
    const planned = await dryRun(config, checkpoint, gpu, precision);
    const maxTokens = Math.max(1, Math.min(tokens, config.maxSequenceLength) - 1);
    const cache = kvCache !== undefined;
    const answer = { promptTokens: 1, maxTokens, blockLength: maxTokens, cache, kvCache };
    const activations = await planned.activationBytes(answer);
    const { weightBytes: weights, loadingBytes: staging } = planned;
    memories.push({ weights, cache: 0, activations, staging });
  }
  const bytes = bytesOf(memories);
  if (bytes <= free) return bytes;
  throw new GpuError(
    `${models.map(({ name }) => name).join(" and ")} need ${binarySize(bytes)} of GPU memory, ` +
      `${binarySize(bytes - free)} more than what ${gpu.name} has free (${binarySize(free)}). ` +
      "Load fewer bits (--weights q8 or q4) or use a smaller model.",
  );
}
