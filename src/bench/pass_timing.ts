/** Times the passes of a loaded model within a budget. */

import { keptElement } from "../model/kv_cache.ts";
import type { ModelConfig } from "../model/loading/config.ts";
import type { Model } from "../model/model.ts";
import { CHAINED_STEPS, openBlockSteps } from "./block_step.ts";
import type { Budget } from "./budget.ts";
import { floorsOf, type PassCeilings, type PassWork, passWork } from "./floors.ts";
import { ASKED, forwardRun, type MedianTime, medianTimes, type PassSize } from "./model.ts";
import type { Progress } from "./progress.ts";

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

/** Runs from which a time is scaled, at least. */
const LEAST_SCALED = 3;

/** The time of a pass of the whole model, and its work. */
export interface PassTime extends TimedPass, PassWork {
  /** The time, scaled to all layers if fewer were loaded. */
  readonly passMilliseconds: number;
  /** Median of the runs, with the layers that were loaded. */
  readonly timedMilliseconds: number;
  readonly runs: number;
}

/** A model that is loaded, perhaps with fewer layers than it has. */
export interface LoadedPart {
  readonly model: Model;
  /** The same with one layer, to tell what a layer costs; only if some are missing. */
  readonly one?: Model;
  /** Bytes of the weights that a pass of the loaded part reads, and of the whole model. */
  readonly loadedBytes: number;
  readonly wholeBytes: number;
  readonly whole: ModelConfig;
}

/** Options of {@linkcode timePasses}. */
export interface PassTimingOptions {
  /** Rates by which the time of a pass is foretold. */
  readonly ceilings: PassCeilings;
  readonly budget: Budget;
  /** Time by `performance.now()` when all should be done; each pass is timed at least once. */
  readonly until: number;
  readonly report: Progress;
}

/**
 * Times every pass for which there is time and the model is long enough.
 * @returns the passes by their keys, and a line for each that was left out
 */
export async function timePasses(
  { model, one, loadedBytes, whole, wholeBytes }: LoadedPart,
  { ceilings, budget, until, report }: PassTimingOptions,
): Promise<{ readonly passes: readonly PassTime[]; readonly leftOut: readonly string[] }> {
  const { gpu } = model;
  const workOf = (pass: TimedPass, config: ModelConfig, bytes: number) =>
    passWork(config, pass, bytes, pass.kind === "block" ? keptElement(gpu) : undefined);
  const floorOf = (pass: TimedPass) =>
    floorsOf(workOf(pass, model.config, loadedBytes), ceilings).floorMilliseconds;
  const models = one ? [model, one] : [model];
  // What is scaled must be sure.
  const least = one ? LEAST_SCALED : 1;
  // A run to warm up, those that count, and for a block's step the pass that fills the cache.
  const leastOf = (pass: TimedPass) =>
    pass.kind === "forward"
      ? (1 + least) * floorOf(pass)
      : (1 + least) * CHAINED_STEPS * floorOf(pass) +
        floorOf({ ...pass, kind: "forward", rows: pass.keys });
  // How many times its floor a pass takes; at least once.
  let slowest = 1;
  const passes: PassTime[] = [];
  const leftOut: string[] = [];
  const fitting = PASSES.filter(({ keys }) => keys <= whole.maxSequenceLength);
  for (const [i, pass] of fitting.entries()) {
    report.update(i, fitting.length);
    const lacking = budget.lacks(models.length * slowest * leastOf(pass) / 1000);
    if (lacking) {
      leftOut.push(`${passName(pass)}: not timed: ${lacking}`);
      continue;
    }
    const now = performance.now();
    const enough = now + Math.max(0, until - now) / (fitting.length - i);
    const [own, shortest] = await timePass(models, pass, { until: enough, least });
    slowest = Math.max(slowest, own.milliseconds / floorOf(pass));
    passes.push({
      ...pass,
      ...workOf(pass, whole, wholeBytes),
      passMilliseconds: scaled(
        own.milliseconds,
        model.config.layers,
        whole.layers,
        one && { milliseconds: shortest.milliseconds, layers: 1 },
      ),
      timedMilliseconds: own.milliseconds,
      runs: own.runs,
    });
  }
  report.update(fitting.length, fitting.length);
  return { passes: passes.toSorted((a, b) => a.keys - b.keys || b.rows - a.rows), leftOut };
}

/** Median times of one pass in each model, in turn. */
async function timePass(
  models: readonly Model[],
  pass: TimedPass,
  rounds: { readonly until: number; readonly least: number },
): Promise<MedianTime[]> {
  if (pass.kind === "forward") {
    return await medianTimes(models.map((model) => forwardRun(model, pass.rows)), rounds);
  }
  using stack = new DisposableStack();
  const steps = [];
  for (const model of models) steps.push(stack.use(await openBlockSteps(model, pass)));
  const times = await medianTimes(steps.map(({ run }) => run), rounds);
  return times.map((time) => ({ ...time, milliseconds: time.milliseconds / CHAINED_STEPS }));
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
