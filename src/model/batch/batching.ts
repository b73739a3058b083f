/** Runs jobs of several requests in shared passes of one model. */

import type { CanvasSequence, Commit, ForwardInput, Prediction } from "../../denoise/predictor.ts";
import { GpuError, GpuFaultError } from "../../gpu/device.ts";
import { mostRows } from "../forward_pass.ts";
import { checkInput } from "../input.ts";
import type { RankChoice, Ranking } from "../ranked_pass.ts";
import { withoutIdleGuidance } from "../rows.ts";
import { HostCanvas, type RowSpan } from "./host_canvas.ts";
import {
  logitsJob,
  ModelJob,
  predictJob,
  rankJob,
  statesJob,
  stepsJob,
  type Unit,
  type UnitResult,
  type WholeInput,
} from "./jobs.ts";
import { PAGE_POSITIONS, pagesFor, type Reservation } from "./page_book.ts";
import type { JobResults, PageReservation, PassJob, TogetherOptions } from "./pass_job.ts";
import { groupUnits, MOST_PASSES, type RunLimits } from "./run_limits.ts";
import { type RunSpace, takeRunMemory } from "./run_memory.ts";
import { sharedRun } from "./shared_run.ts";

/** A part of a job, and its place among the job's parts. */
interface Place {
  readonly job: number;
  readonly part: number;
  readonly unit: Unit;
}

/** Runs `body`; if it throws, what it recorded is dropped. */
export type GuardedRun = (body: () => Promise<void>) => Promise<void>;

/** Makes canvases and runs jobs of one model. */
export class Batching {
  readonly #space: RunSpace;
  readonly #guarded: GuardedRun;
  readonly #limits: RunLimits;
  #running = false;

  /** @param limits of a run, if its memory is planned; the device has others */
  constructor(space: RunSpace, guarded: GuardedRun, limits?: RunLimits) {
    this.#space = space;
    this.#guarded = guarded;
    const most = this.most;
    this.#limits = limits
      ? { ...limits, rows: Math.min(most, limits.rows) }
      : { rows: most, entries: most, listed: Infinity };
  }

  /** Opens a canvas. @throws {RangeError} {@linkcode GpuError} when it does not fit the device */
  canvas(opened: readonly CanvasSequence[], reserved?: PageReservation): HostCanvas {
    const { context, pool } = this.#space;
    opened.forEach((sequence, i) => checkInput(context.config, sequence, `sequences[${i}]`));
    const canvas = new HostCanvas(
      opened.map(withoutIdleGuidance),
      { book: pool.book, known: pool.known, reserved: reserved as Reservation | undefined },
      { steps: stepsJob, states: statesJob },
    );
    this.checkRows(canvas.all.reduce((sum, { ids }) => sum + ids.length, 0));
    return canvas;
  }

  /** Takes the scratch memory that the largest runs take beside their passes. */
  takeMemory(isDraft: boolean): Promise<void> {
    return takeRunMemory(this.#space, this.#limits, isDraft);
  }

  /** Rows that a pass on this device may have. */
  get most(): number {
    const { gpu, config } = this.#space.context;
    return mostRows(gpu, config);
  }

  /** Rows that one sequence may have, its twin and its shadows included. */
  get widest(): number {
    return this.#limits.rows;
  }

  /** @throws {GpuError} when so many rows do not fit the device in one pass */
  checkRows(rows: number): void {
    if (rows <= this.most) return;
    const { gpu, config } = this.#space.context;
    throw new GpuError(
      `${rows} rows in one forward pass, ${gpu.name} has room for ${this.most} at hidden size ` +
        `${config.hiddenSize}. Use a shorter sequence or a smaller batch.`,
    );
  }

  /** @throws {RangeError} {@linkcode GpuError} when a sequence does not fit the device */
  predictJob(inputs: readonly ForwardInput[]): ModelJob<Prediction[][]> {
    return this.#checked(predictJob(this.#space.context.config, inputs));
  }

  /** @throws as {@linkcode Batching.predictJob} */
  rankJob(asked: WholeInput, choice: RankChoice, k: number): ModelJob<Ranking> {
    return this.#checked(rankJob(this.#space.context.config, asked, choice, k));
  }

  /** @throws as {@linkcode Batching.predictJob} */
  logitsJob(asked: WholeInput): ModelJob<Float32Array> {
    return this.#checked(logitsJob(this.#space.context.config, asked));
  }

  #checked<T>(job: ModelJob<T>): ModelJob<T> {
    const planned = this.#limits.rows;
    for (const { rows } of job.units) {
      this.checkRows(rows);
      if (rows <= planned) continue;
      throw new GpuError(
        `${rows} rows in one forward pass, the memory of ${planned} is planned. Use a shorter ` +
          "sequence or shorter blocks, or load the model for more rows (--batch-rows).",
      );
    }
    return job;
  }

  /** As {@linkcode BatchModel.runTogether}. */
  async run<const T extends readonly PassJob<unknown>[]>(
    jobs: T,
    passes: number,
    { signal }: TogetherOptions = {},
  ): Promise<JobResults<T>> {
    const all = jobs.map((job) => checkJob(job));
    if (this.#running) throw new Error("a run began before the one before it was over");
    const canvases = all.flatMap(({ canvas }) => canvas ?? []);
    if (new Set(canvases).size < canvases.length) {
      throw new Error("two jobs of one canvas are in a run");
    }
    for (const job of all) job.done = true;
    for (const canvas of canvases) canvas.hold();
    this.#running = true;
    try {
      return await this.#runAll(all, passes, signal) as JobResults<T>;
    } finally {
      this.#running = false;
      for (const canvas of canvases) canvas.letGo();
    }
  }

  async #runAll(
    jobs: readonly ModelJob<unknown>[],
    passes: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown[]> {
    const { context: { pace } } = this.#space;
    const results = jobs.map(({ units }) => units.map((): UnitResult => []));
    const count = Math.min(passes, Math.max(0, ...jobs.map((job) => job.passes)));
    const rows = jobs.reduce((sum, job) => sum + job.rows, 0);
    // Slow passes are waited for one by one, so that the run can end between two of them.
    const until = signal && pace.isSlow(rows) ? signal : undefined;
    const units = jobs.flatMap((job) => job.units);
    for (let pass = 0, ran = 0; pass < count; pass += ran) {
      if (pass > 0 && signal?.aborted) break;
      const repeated = units.map((unit) => repeatable(unit, pass));
      const together = Math.min(MOST_PASSES, count - pass, ...repeated);
      ran = 0;
      try {
        await this.#guarded(async () => {
          ran = await this.#runPasses(jobs, { first: pass, count: together, until }, results);
        });
      } catch (error) {
        // What ran is returned, and the rest is as if nobody had asked for it.
        const isWhole = error instanceof GpuError && !(error instanceof GpuFaultError);
        if (pass === 0 || !isWhole) throw error;
        break;
      }
      if (ran < together) break;
    }
    return jobs.map((job, i) => job.resultOf(results[i]));
  }

  /**
   * Runs `count` passes from `first` on of all jobs, in as many groups as the device's limits need.
   * @returns the number of passes that ran: fewer if `until` was aborted
   */
  async #runPasses(
    jobs: readonly ModelJob<unknown>[],
    { first, count, until }: {
      readonly first: number;
      readonly count: number;
      readonly until: AbortSignal | undefined;
    },
    results: UnitResult[][],
  ): Promise<number> {
    const { context: { pace } } = this.#space;
    const effects: (() => void)[] = [];
    let ran = count;
    for (const group of this.#groups(jobs, first)) {
      const start = performance.now();
      const units = group.map(({ unit }) => unit);
      // Every group runs as many passes as the first.
      const run = await sharedRun(
        this.#space,
        units,
        ran,
        effects.length === 0 ? until : undefined,
      );
      if (run.ended) ran = run.passes;
      effects.push(() => {
        run.apply();
        for (const [i, { job, part, unit }] of group.entries()) {
          if (unit.kind === "question") results[job][part] = run.units[i];
          else (results[job][part] as Commit[][][]).push(...run.units[i] as Commit[][][]);
        }
      });
      if (run.rows > 0 && units.some(({ kind }) => kind === "steps")) {
        pace.millisecondsPerRow = (performance.now() - start) / run.rows;
      }
    }
    // All of them, now that none has failed.
    for (const effect of effects) effect();
    return ran;
  }

  /** The parts of jobs that run from a pass on, in groups that fit the device and what is planned. */
  #groups(jobs: readonly ModelJob<unknown>[], first: number): Place[][] {
    const { pool } = this.#space;
    const beginning = jobs.flatMap(({ canvas }) => canvas?.all ?? [])
      .reduce((sum, { kept }) => kept.begun ? sum : sum + pagesFor(kept.positions), 0);
    // Rows that states may have for themselves; one alone has what it needs.
    const mostBorrowed = PAGE_POSITIONS * pool.borrowable(beginning);
    const places = jobs.flatMap(({ units }, job) =>
      units.flatMap((whole, part) => {
        const unit = partFrom(whole, first);
        return unit ? { job, part, unit } : [];
      })
    );
    for (const { unit } of places) this.checkRows(unit.rows);
    return groupUnits(places, this.#limits, mostBorrowed);
  }
}

/**
 * How many passes of a unit, from one on, can be repeated after some of them have run: as long as all
 * write to rows that the first of them writes. Else the repeated first one would read what a later one
 * has left.
 */
function repeatable(unit: Unit, from: number): number {
  if (unit.kind === "question") return Infinity;
  const { canvas, steps } = unit;
  let first: RowSpan | undefined;
  for (let pass = from; pass < steps.length; pass++) {
    const { cache, horizon } = steps[pass];
    if (cache === undefined) continue;
    const span = canvas.span(0, cache, horizon);
    first ??= span;
    const isWithin = span.first >= first.first &&
      span.first + span.rows <= first.first + first.rows;
    if (!isWithin) return pass - from;
  }
  return Infinity;
}

/** What is left of a part of a job from a pass on; undefined if nothing. */
function partFrom(unit: Unit, pass: number): Unit | undefined {
  if (pass === 0) return unit.kind === "steps" && unit.steps.length === 0 ? undefined : unit;
  if (unit.kind === "question" || unit.steps.length <= pass) return undefined;
  return { ...unit, steps: unit.steps.slice(pass) };
}

/** @throws {Error} for a job that was run, or of another model */
function checkJob(job: PassJob<unknown>): ModelJob<unknown> {
  if (!(job instanceof ModelJob)) throw new Error("a job of something that is no model");
  if (job.done) throw new Error("a job is run once");
  job.canvas?.checkAlive();
  return job;
}
