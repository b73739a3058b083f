/** The memory that each precision takes at several context lengths, for a user to choose from. */

import type { DeviceLimits } from "./counting_gpu.ts";
import { attempt } from "./memory_plan.ts";
import { KnownMemory } from "./model_memory.ts";
import type { PlanRequest, WeightChoice } from "./plan_request.ts";
import { choicesOf, pairsOf } from "./precision.ts";

/** One precision at one context length. */
export interface ChoiceMemory {
  /** How the target's weights are kept. */
  readonly weights: WeightChoice;
  /** How the draft's weights are kept, if there is one: in no more bits than the target's. */
  readonly draftWeights?: WeightChoice;
  /** Length of prompt plus answer, in tokens. */
  readonly context: number;
  /** Bytes of all weights. */
  readonly weightBytes: number;
  /** Bytes of kept keys and values. */
  readonly cacheBytes: number;
  /** Peak of the bytes in use. */
  readonly bytes: number;
  /** Why the device cannot hold it, even with enough memory. */
  readonly problem?: string;
}

/**
 * All choices that a plan has for the target, the largest first, contexts ascending. The figures
 * are those that {@linkcode planMemory} compares with the free memory.
 * @param contexts lengths in tokens; ones above the target's are left out
 * @throws {ConfigError} {@linkcode CheckpointError} when a folder is wrong
 */
export async function memoryChoices(
  device: DeviceLimits,
  request: PlanRequest,
  contexts: readonly number[],
  known?: KnownMemory,
): Promise<ChoiceMemory[]> {
  using own = known ? undefined : new KnownMemory(device);
  const memory = known ?? own!;
  const configOf = (folder: string) => memory.config(folder);
  const { maxSequenceLength } = configOf(request.target);
  const rows: ChoiceMemory[] = [];
  for (const weights of choicesOf(configOf(request.target), request.weights, request.arithmetic)) {
    // Finds the largest draft allowed with this target.
    const [pair] = pairsOf({ ...request, weights }, configOf);
    for (const context of contexts.filter((tokens) => tokens <= maxSequenceLength)) {
      const { target, draft, bytes, problem } = await attempt(
        pair,
        { ...request, context },
        memory,
      );
      rows.push({
        weights,
        draftWeights: pair.draft,
        context,
        weightBytes: (target?.weights ?? 0) + (draft?.weights ?? 0),
        cacheBytes: (target?.cache ?? 0) + (draft?.cache ?? 0),
        bytes,
        problem,
      });
    }
  }
  return rows;
}
