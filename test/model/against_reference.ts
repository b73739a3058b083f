/** A random checkpoint twice: on the GPU, and in plain loops over 64-bit floats. */

import { assertAlmostEquals, assertEquals } from "@std/assert";
import type { Prediction } from "../../src/denoise/predictor.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import type { Model } from "../../src/model/model.ts";
import { anyGpu } from "../gpu/device.ts";
import { ReferenceLlada } from "../reference/llada.ts";
import { readCheckpoint } from "../reference/read.ts";
import {
  type CheckpointShape,
  configOf,
  withFolder,
  writeCheckpoint,
} from "./random_checkpoint.ts";

/** What f32 sums may differ by: logits are of the size of 1 to 10. */
export const LOGITS_ABS = 2e-4;

/** Runs `body` with both; the seed fixes every weight. */
export async function withReference(
  shape: CheckpointShape,
  seed: string,
  body: (model: Model, reference: ReferenceLlada) => Promise<void>,
): Promise<void> {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, shape, seed);
    const weights = new Map([...readCheckpoint(dir)].map(([name, { data }]) => [name, data]));
    const config = configOf(shape) as unknown as ReferenceLlada["config"];
    using model = await loadModel(anyGpu, dir);
    await body(model, new ReferenceLlada(config, weights));
  });
}

/** The same tokens, with probabilities that differ by rounding only. */
export function assertPredictions(
  found: readonly Prediction[],
  expected: readonly Prediction[],
): void {
  assertEquals(found.length, expected.length);
  for (const [i, { position, token, logSumExp, logProbability }] of expected.entries()) {
    const where = `position ${position}`;
    assertEquals([found[i].position, found[i].token], [position, token], where);
    assertAlmostEquals(found[i].logSumExp, logSumExp, 2 * LOGITS_ABS, where);
    assertAlmostEquals(found[i].logProbability, logProbability, 2 * LOGITS_ABS, where);
  }
}
