/** What each precision takes at several lengths of the context: what a user chooses among. */

import type { DeviceLimits } from "./dry_run.ts";
import { attempt } from "./memory_plan.ts";
import { KnownMemory } from "./model_memory.ts";
import type { PlanRequest, WeightChoice } from "./plan_request.ts";
import { choicesOf, pairsOf } from "./precision.ts";

/** One precision at one context length. */
export interface ChoiceMemory {
  /** How the target is kept. */
  readonly weights: WeightChoice;
  /** How the draft is, where there is one: no larger than the target, as a plan would have it. */
  readonly draftWeights?: WeightChoice;
  /** Tokens of prompt and answer. */
  readonly context: number;
  /** Bytes of all weights. */
  readonly weightBytes: number;
  /** Bytes of kept keys and values. */
  readonly cacheBytes: number;
  /** The most bytes that are in use at any time. */
  readonly bytes: number;
  /** Why the device has no room for it, whatever memory there is. */
  readonly problem?: string;
}

/**
 * All choices that a plan has for the target, the largest first, contexts ascending. Figures are those
 * that {@linkcode planMemory} compares with the memory there is.
 * @param contexts in tokens; longer ones than the target's are left out
 * @throws {ConfigError} {@linkcode CheckpointError} when a folder is not as it must be
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
    // The largest draft that goes with it.
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
