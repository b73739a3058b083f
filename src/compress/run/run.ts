/**
 * A run: step by step, with evaluations, checkpoints and a history. It goes on where the newest
 * checkpoint in its folder is, and then does bit for bit what it would have done without a pause.
 */

import { join } from "node:path";
import type { TrainingBatch } from "../training_batch.ts";
import {
  bestFile,
  type BestPlace,
  findCheckpoint,
  type Pending,
  type RunState,
  saveCheckpoint,
  saveTensors,
} from "./checkpoint.ts";
import { type Evaluation, History, type HistoryLine } from "./history.ts";
import { isOver, type Length, progressOf, rateAt, type Schedule } from "./schedule.ts";
import type { StepLosses, Trainee } from "./trainee.ts";

/** File of the history in a run's folder. */
export const HISTORY = "history.jsonl";

/** A run. */
export interface Run {
  /** The run's folder, which is there. */
  readonly dir: string;
  readonly trainee: Trainee;
  /** The micro-batches of a step: a function of the step alone. */
  batches(step: number): Promise<readonly TrainingBatch[]> | readonly TrainingBatch[];
  readonly length: Length;
  readonly schedule: Schedule;
  /** Evaluates the trainee's result; absent: nothing is evaluated. */
  readonly evaluate?: () => Promise<Evaluation>;
  /** Steps between two evaluations; one is made before the first step and one after the last. */
  readonly evaluateEvery: number;
  /** Steps between two checkpoints. */
  readonly checkpointEvery: number;
  /** Steps that share a line of the history. */
  readonly lineEvery: number;
  /** Name of the device. */
  readonly device: string;
  /** Ends the run after the step that is going on, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/** What happens in a run. */
export type RunEvent =
  /** It begins, or goes on from a checkpoint after `step` steps. */
  | {
    readonly kind: "start";
    readonly step: number;
    readonly tokens: number;
    readonly device?: string;
  }
  /** A checkpoint cannot be read. */
  | { readonly kind: "broken"; readonly why: string }
  | {
    readonly kind: "step";
    readonly step: number;
    readonly tokens: number;
    readonly rate: number;
    readonly losses: StepLosses;
    readonly seconds: number;
  }
  | { readonly kind: "line"; readonly line: HistoryLine; readonly isBest: boolean }
  | { readonly kind: "checkpoint"; readonly step: number }
  /** It is over, or was stopped. */
  | {
    readonly kind: "end";
    readonly finished: boolean;
    readonly step: number;
    readonly best?: BestPlace;
  };

/** A step before the first: no line of the history is kept. */
const NONE = -1;
const NOTHING: Pending = { steps: 0, loss: 0, gradientNorm: 0, terms: {} };

/** A loss that is no number: the rate is too high, or the data is broken. */
export class DivergedError extends Error {
  override name = "DivergedError";
}

/**
 * Runs, from the newest checkpoint on.
 * @throws {DivergedError} when the loss is no finite number; checkpoints and best weights stay
 * @throws {Error} when the folder has checkpoints, and none can be read; when the disk is full
 */
export async function* train(run: Run): AsyncGenerator<RunEvent, void, void> {
  const { dir, trainee, length, schedule, device } = run;
  const broken: string[] = [];
  const found = findCheckpoint(dir, (why) => broken.push(why));
  for (const why of broken) yield { kind: "broken", why };
  found?.restore(trainee.state);
  let state: RunState = found?.state ??
    { step: 0, tokens: 0, seconds: 0, pending: NOTHING, device };
  yield { kind: "start", step: state.step, tokens: state.tokens, device: found?.state.device };
  const history = new History(join(dir, HISTORY), found ? state.step : NONE);
  const start = performance.now() - 1000 * state.seconds;
  const seconds = () => (performance.now() - start) / 1000;
  let rate: number | undefined;

  const evaluateAndWrite = async function* (): AsyncGenerator<RunEvent, void, void> {
    const isEvaluated = run.evaluate !== undefined &&
      (state.step % run.evaluateEvery === 0 || isOver(length, state));
    const isDue = isEvaluated || state.step % run.lineEvery === 0 || isOver(length, state);
    if (isDue) {
      const evaluation = isEvaluated ? await run.evaluate!() : undefined;
      const isBest = evaluation !== undefined &&
        !(state.best && state.best.average > evaluation.average);
      if (isBest) await saveTensors(bestFile(dir, state.step), trainee.result);
      const best = isBest ? { step: state.step, average: evaluation.average } : state.best;
      const line = { ...lineOf(state, rate), seconds: seconds(), evaluation };
      history.append(line);
      state = { ...state, pending: NOTHING, best };
      yield { kind: "line", line, isBest };
    }
  };
  const save = async function* (): AsyncGenerator<RunEvent, void, void> {
    state = { ...state, seconds: seconds(), device };
    await saveCheckpoint(dir, state, trainee.state);
    yield { kind: "checkpoint", step: state.step };
  };

  if (!found) {
    if (run.evaluate) yield* evaluateAndWrite();
    yield* save();
  }
  let upcoming = isOver(length, state) ? Promise.resolve([]) : batchesOf(run, state.step);
  while (!isOver(length, state) && !run.signal?.aborted) {
    const batches = await upcoming;
    const tokens = batches.reduce((sum, { ids }) => sum + ids.length, 0);
    rate = rateAt(progressOf(length, state, tokens), schedule);
    const going = trainee.step(batches, { step: state.step, rate });
    // Made while the device computes.
    upcoming = batchesOf(run, state.step + 1);
    const losses = await going;
    checkLoss(losses, state, dir);
    state = {
      ...state,
      step: state.step + 1,
      tokens: state.tokens + tokens,
      pending: added(state.pending, losses),
    };
    const { step } = state;
    yield { kind: "step", step, tokens: state.tokens, rate, losses, seconds: seconds() };
    yield* evaluateAndWrite();
    const isStopped = isOver(length, state) || run.signal?.aborted;
    if (isStopped || step % run.checkpointEvery === 0) yield* save();
  }
  yield { kind: "end", finished: isOver(length, state), step: state.step, best: state.best };
}

/** The batches of a step; what is wrong with them is told when they are awaited. */
function batchesOf(run: Run, step: number): Promise<readonly TrainingBatch[]> {
  const made = Promise.try(() => run.batches(step));
  made.catch(() => {});
  return made;
}

function checkLoss(
  { loss, gradientNorm }: StepLosses,
  { step, best }: RunState,
  dir: string,
): void {
  if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) return;
  const kept = best === undefined
    ? ""
    : ` ${bestFile(dir, best.step)} holds the best weights, of step ${best.step} with an average ` +
      `agreement of ${best.average.toFixed(4)}.`;
  throw new DivergedError(
    `step ${
      step + 1
    }: the loss is ${loss} and its gradient's norm ${gradientNorm}, expected finite ` +
      `numbers. The last checkpoint of ${dir} is kept, but comes here again. Begin another run with ` +
      `a lower --rate or a longer --warm-up.${kept}`,
  );
}

function added(pending: Pending, { loss, gradientNorm, terms }: StepLosses): Pending {
  const sums = Object.entries(terms).map(([name, value]) => [
    name,
    (pending.terms[name] ?? 0) + value,
  ]);
  return {
    steps: pending.steps + 1,
    loss: pending.loss + loss,
    gradientNorm: pending.gradientNorm + gradientNorm,
    terms: Object.fromEntries(sums),
  };
}

function lineOf({ step, tokens, pending }: RunState, rate: number | undefined) {
  const { steps, loss, gradientNorm, terms } = pending;
  if (steps === 0) return { step, tokens };
  const means = Object.entries(terms).map(([name, sum]) => [name, sum / steps]);
  return {
    step,
    tokens,
    rate,
    loss: loss / steps,
    gradientNorm: gradientNorm / steps,
    terms: Object.fromEntries(means),
  };
}
