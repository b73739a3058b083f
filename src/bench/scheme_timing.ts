/** Loads a model in one scheme, has its passes timed, and frees it. */

import { type Gpu, GpuError, GpuFaultError } from "../gpu/device.ts";
import { binarySize } from "../model/memory/binary_size.ts";
import type { DryRun } from "../model/memory/dry_run.ts";
import { bytesOf } from "../model/memory/model_memory.ts";
import type { WeightChoice } from "../model/memory/plan_request.ts";
import { loadWithin } from "./bounded_load.ts";
import type { Budget } from "./budget.ts";
import type { PassCeilings } from "./floors.ts";
import { ASKED } from "./model.ts";
import type { ModelSource } from "./model_source.ts";
import { MOST_KEYS, type PassTime, timePasses } from "./pass_timing.ts";
import type { ShowProgress } from "./progress.ts";

/** What a scheme came to. */
export interface SchemeTiming {
  readonly weights: WeightChoice;
  /** Bytes of the whole model with an answer of 512 positions; undefined if none can be held. */
  readonly wholeBytes?: number;
  /** Whether the whole model fits the memory; undefined if that is not known. */
  readonly fits?: boolean;
  readonly layers: number;
  /** Layers that were loaded; 0 if none were. */
  readonly timedLayers: number;
  readonly loadSeconds?: number;
  readonly passes: readonly PassTime[];
  /** A line for each thing that was left out, with the reason. */
  readonly leftOut: readonly string[];
}

/** Options of {@linkcode timeScheme}. */
export interface SchemeTimingOptions {
  /** Rates by which the time of a pass is foretold. */
  readonly ceilings: PassCeilings;
  readonly budget: Budget;
  /** Schemes that are still to be timed, with this one: they share the time that is left. */
  readonly schemesLeft: number;
  /** Bytes of GPU memory that may be used; undefined if not known. */
  readonly memoryBytes?: number;
  /** Layers to load; default: all, or as many as there is time for. */
  readonly layers?: number;
  readonly progress: ShowProgress;
}

/**
 * Loads a model in one scheme, times its passes, and frees it.
 * @throws {GpuFaultError} when the device fails
 */
export async function timeScheme(
  gpu: Gpu,
  source: ModelSource,
  weights: WeightChoice,
  options: SchemeTimingOptions,
): Promise<SchemeTiming> {
  const { layers } = source.config;
  const leftOut: string[] = [];
  const none = { weights, layers, timedLayers: 0, passes: [], leftOut };
  const over = options.budget.lacks(0.1);
  if (over) return { ...none, leftOut: [`${weights}: not timed: ${over}`] };
  try {
    const whole = await source.plan(weights, layers);
    const wholeBytes = await bytesWithAnswer(source, whole);
    const { memoryBytes = Infinity } = options;
    const lacking = wholeBytes > memoryBytes
      ? `${source.name} takes ${binarySize(wholeBytes)}, more than the ${
        binarySize(memoryBytes)
      } that may be used`
      : undefined;
    const asked = Math.min(options.layers ?? layers, layers);
    const part = asked < layers
      ? await bytesWithAnswer(source, await source.plan(weights, asked))
      : wholeBytes;
    if (lacking) leftOut.push(`${weights}: does not fit: ${lacking}`);
    if (part > memoryBytes) return { ...none, wholeBytes, fits: false };
    const timed = await loadAndTime(source, weights, whole, asked, leftOut, options);
    const sure = memoryBytes < Infinity || timed.timedLayers === layers;
    return { ...none, wholeBytes, fits: lacking ? false : sure ? true : undefined, ...timed };
  } catch (error) {
    // Whatever was loaded is freed by now: the next scheme may fit.
    if (!(error instanceof GpuError) || error instanceof GpuFaultError) throw error;
    gpu.forgetOutOfMemory();
    leftOut.push(`${weights}: does not fit: ${error.message}`);
    return { ...none, fits: false };
  }
}

/** Peak bytes of a model with an answer at the longest timed length, with kept keys and values. */
async function bytesWithAnswer({ config }: ModelSource, planned: DryRun): Promise<number> {
  const keys = Math.min(MOST_KEYS, config.maxSequenceLength);
  const maxTokens = Math.max(1, Math.min(2 * ASKED, keys - 1));
  const activations = await planned.activationBytes({
    promptTokens: keys - maxTokens,
    maxTokens,
    blockLength: Math.min(ASKED, maxTokens),
    cache: true,
  });
  const { weightBytes, loadingBytes } = planned;
  return bytesOf([{ weights: weightBytes, cache: 0, activations, staging: loadingBytes }]);
}

async function loadAndTime(
  source: ModelSource,
  weights: WeightChoice,
  { passBytes }: DryRun,
  asked: number,
  leftOut: string[],
  { ceilings, budget, schemesLeft, layers, progress }: SchemeTimingOptions,
): Promise<Pick<SchemeTiming, "timedLayers" | "loadSeconds" | "passes">> {
  // Half of the scheme's share of the time may go into loading.
  const seconds = budget.leftSeconds / schemesLeft / 2;
  const filling = progress(`loading ${source.name}, ${weights}`, binarySize, true);
  let loaded;
  try {
    const shorten = layers === undefined;
    loaded = await loadWithin(source, weights, {
      layers: asked,
      shorten,
      seconds,
      report: filling,
    });
  } finally {
    filling.stop();
  }
  if (loaded.model === undefined) {
    leftOut.push(`${weights}: not loaded: ${loaded.reason}`);
    return { timedLayers: 0, passes: [] };
  }
  using model = loaded.model;
  using one = loaded.layers < source.config.layers ? model.firstLayers(1) : undefined;
  const { passBytes: loadedBytes } = await source.plan(weights, loaded.layers);
  const report = progress(`timing ${source.name}, ${weights}`, (count) => `${count} passes`, true);
  try {
    const timed = await timePasses(
      { model, one, loadedBytes, whole: source.config, wholeBytes: passBytes },
      { ceilings, budget, until: budget.endOfShare(schemesLeft), report },
    );
    leftOut.push(...timed.leftOut.map((line) => `${weights}, ${line}`));
    return { timedLayers: loaded.layers, loadSeconds: loaded.seconds, passes: timed.passes };
  } finally {
    report.stop();
  }
}
