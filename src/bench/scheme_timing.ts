/** Times a model's passes in one scheme, against the floors of the device. */

import { type Gpu, GpuError, GpuFaultError } from "../gpu/device.ts";
import { keptElement } from "../model/kv_cache.ts";
import { binarySize } from "../model/memory/binary_size.ts";
import type { DryRun } from "../model/memory/dry_run.ts";
import { bytesOf } from "../model/memory/model_memory.ts";
import type { WeightChoice } from "../model/memory/plan_request.ts";
import type { Model } from "../model/model.ts";
import { CHAINED_STEPS, timeBlockStep } from "./block_step.ts";
import { LEAST_LAYERS, loadWithin } from "./bounded_load.ts";
import type { Budget } from "./budget.ts";
import { floorsOf, type PassCeilings, type PassWork, passWork } from "./floors.ts";
import { ASKED, type MedianTime, type PassSize, timeForward } from "./model.ts";
import type { ModelSource } from "./model_source.ts";
import type { ShowProgress } from "./progress.ts";

/** A pass that is timed. */
export interface TimedPass extends PassSize {
  /** `forward`: all rows are run. `block`: the rows of a block, against kept keys and values. */
  readonly kind: "forward" | "block";
}

/** Keys of a block's step, and rows of the longest pass. */
export const MOST_KEYS = 512;
/** The passes, in the order in which they are timed: what matters most comes first. */
const PASSES: readonly TimedPass[] = [
  { kind: "forward", rows: 32, keys: 32, asked: ASKED },
  { kind: "block", rows: 32, keys: MOST_KEYS, asked: ASKED },
  { kind: "forward", rows: MOST_KEYS, keys: MOST_KEYS, asked: ASKED },
  { kind: "forward", rows: 128, keys: 128, asked: ASKED },
];

/** The time of a pass of the whole model, and its work. */
export interface PassTime extends TimedPass, PassWork {
  /** The time, scaled to all layers if fewer were loaded. */
  readonly passMilliseconds: number;
  /** Median of the runs, with the layers that were loaded. */
  readonly timedMilliseconds: number;
  readonly runs: number;
}

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
    const timed = await loadAndTime(gpu, source, weights, whole, asked, leftOut, options);
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
  gpu: Gpu,
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
  using fewer = loaded.layers < source.config.layers
    ? model.firstLayers(Math.max(1, Math.floor(loaded.layers / LEAST_LAYERS)))
    : undefined;
  const fitting = PASSES.filter(({ keys }) => keys <= source.config.maxSequenceLength);
  const workOf = (pass: TimedPass) =>
    passWork(source.config, pass, passBytes, pass.kind === "block" ? keptElement(gpu) : undefined);
  const floorOf = (pass: TimedPass) => floorsOf(workOf(pass), ceilings).floorMilliseconds;
  /** Floor of a run to warm up and one that counts, and of the pass that fills a block's cache. */
  const leastMilliseconds = (pass: TimedPass) => {
    const milliseconds = floorOf(pass);
    if (pass.kind === "forward") return 2 * milliseconds;
    return 2 * CHAINED_STEPS * milliseconds +
      floorOf({ ...pass, kind: "forward", rows: pass.keys });
  };
  const report = progress(`timing ${source.name}, ${weights}`, (count) => `${count} passes`, true);
  const passes: PassTime[] = [];
  const end = budget.endOfShare(schemesLeft);
  const models = fewer ? 2 : 1;
  // How many times its floor a pass takes; at least once.
  let slowest = 1;
  try {
    for (const [i, pass] of fitting.entries()) {
      report.update(i, fitting.length);
      const lacking = budget.lacks(models * slowest * leastMilliseconds(pass) / 1000);
      if (lacking) {
        leftOut.push(`${weights}, ${passName(pass)}: not timed: ${lacking}`);
        continue;
      }
      const stages = models * (fitting.length - i);
      const next = () => performance.now() + Math.max(0, (end - performance.now()) / stages);
      const own = await timePass(model, pass, next());
      const half = fewer && await timePass(fewer, pass, next());
      const passMilliseconds = scaled(
        own.milliseconds,
        loaded.layers,
        source.config.layers,
        half && { milliseconds: half.milliseconds, layers: fewer!.config.layers },
      );
      slowest = Math.max(slowest, own.milliseconds / floorOf(pass));
      passes.push({
        ...pass,
        ...workOf(pass),
        passMilliseconds,
        timedMilliseconds: own.milliseconds,
        runs: own.runs,
      });
    }
    report.update(fitting.length, fitting.length);
  } finally {
    report.stop();
  }
  passes.sort((a, b) => a.keys - b.keys || b.rows - a.rows);
  return { timedLayers: loaded.layers, loadSeconds: loaded.seconds, passes };
}

async function timePass(model: Model, pass: TimedPass, until: number): Promise<MedianTime> {
  return pass.kind === "block"
    ? await timeBlockStep(model, pass, until)
    : await timeForward(model, pass.rows, until);
}

/**
 * The time that all layers take, from those of two numbers of layers: what does not belong to a layer is
 * counted once. With one time only, which is that of all layers, it is that.
 */
export function scaled(
  milliseconds: number,
  layers: number,
  all: number,
  fewer?: { readonly milliseconds: number; readonly layers: number },
): number {
  if (!fewer || layers >= all) return milliseconds;
  const each = Math.max(0, milliseconds - fewer.milliseconds) / (layers - fewer.layers);
  return milliseconds + (all - layers) * each;
}

/** Name of a pass, such as `32 rows` or `32 rows against 512 kept keys`. */
export function passName({ kind, rows, keys }: TimedPass): string {
  return kind === "block" ? `${rows} rows against ${keys} kept keys` : `${rows} rows`;
}
