/** Runs the calls of requests in shared passes, and makes the best of what fails. */

import type { BatchModel } from "../../model/batch/pass_job.ts";
import { GpuError, GpuFaultError, GpuMemoryError } from "../../model/model.ts";
import type { AloneCall, PassCall } from "./call.ts";
import type { Lane } from "./lane.ts";
import type { LoadMeter } from "./load_meter.ts";
import { PassCosts, rowsOf } from "./pass_costs.ts";
import type { PassModel } from "./policy.ts";

/** A model that lends passes, and gives memory back. */
export interface SharedModel extends BatchModel {
  /** Frees what passes have taken for themselves. Only called while no pass runs. */
  freeScratch?(): Promise<void>;
}

/** The models of a scheduler. */
export interface SharedModels {
  readonly target: SharedModel;
  readonly draft?: SharedModel;
}

/** A call and whose it is. */
export interface LaneCall {
  readonly lane: Lane;
  readonly call: PassCall;
}

/** Runs after which passes may grow again that were made smaller for want of memory. */
const RUNS_IN_LESS = 64;

/** Runs calls, one run after another. */
export class PassRunner {
  readonly costs = new PassCosts();
  readonly #models: SharedModels;
  readonly #meter: LoadMeter;
  readonly #now: () => number;
  readonly #failAll: (error: unknown) => void;
  /** Rows of a pass, while memory is short. */
  #fewerRows = Infinity;
  #runsInLess = 0;
  #isRunning = false;
  /** What waits for the run that is under way. */
  readonly #afterwards: (() => void)[] = [];

  /**
   * @param now milliseconds
   * @param failAll told of a fault, which ends all requests
   */
  constructor(
    models: SharedModels,
    meter: LoadMeter,
    now: () => number,
    failAll: (error: unknown) => void,
  ) {
    this.#models = models;
    this.#meter = meter;
    this.#now = now;
    this.#failAll = failAll;
  }

  /** Runs work that has the models to itself; for want of memory once more, with what passes had taken. */
  async runAlone(lane: Lane, call: AloneCall, isAgain = false): Promise<void> {
    const start = this.#now();
    const elapsed = () => this.#now() - start;
    try {
      const result = await this.#exclusive(() => call.body());
      lane.charged.target += elapsed();
      if (!call.isOver) call.take(result);
    } catch (error) {
      if (error instanceof GpuMemoryError) {
        await this.freeScratch();
        if (!isAgain && !call.isOver) return await this.runAlone(lane, call, true);
      }
      call.fail(error);
      if (error instanceof GpuFaultError) this.#failAll(error);
    }
    this.#meter.ranAlone(elapsed());
  }

  /** Rows that a pass may have now. */
  mostRows(model: PassModel): number {
    return Math.min(this.#models[model]!.mostRows, this.#fewerRows);
  }

  /**
   * Runs the first of the calls that fit one pass, at least one, and gives them their results. It never
   * throws: a call that fails is told.
   * @param passes that run at most
   */
  async run(model: PassModel, chosen: readonly LaneCall[], passes: number): Promise<void> {
    const most = this.mostRows(model);
    let rows = 0;
    const fit = chosen.filter(({ call }, i) => (rows += call.job.rows) <= most || i === 0);
    await this.#run(model, fit, passes);
  }

  /** Runs calls together; where that fails, in halves, until a call that fails does so alone. */
  async #run(
    model: PassModel,
    calls: readonly LaneCall[],
    passes: number,
    isAgain = false,
  ): Promise<void> {
    const live = calls.filter(({ call }) => !call.isOver);
    if (live.length === 0) return;
    const all = new AbortController();
    const left = () => {
      if (live.every(({ call }) => call.isOver)) all.abort();
    };
    for (const { call } of live) call.onFail = left;
    try {
      await this.#runTogether(model, live, passes, all.signal);
    } catch (error) {
      if (error instanceof GpuFaultError) return this.#failAll(error);
      const isMemory = error instanceof GpuMemoryError;
      if (isMemory) {
        if (live.length > 1) this.#shrink(rowsOf(live.map(({ call }) => call.job)) >> 1);
        await this.freeScratch();
      }
      const isWhole = error instanceof GpuError || error instanceof RangeError;
      // What other passes had taken is free now, so one that failed for memory may go by itself.
      const isLast = live.length === 1 && (!isMemory || isAgain);
      // After another error nobody knows what was run.
      if (!isWhole || isLast) return live.forEach(({ call }) => call.fail(error));
      for (const { call } of live) renew(call);
      const half = Math.ceil(live.length / 2);
      await this.#run(model, live.slice(0, half), passes, live.length === 1);
      await this.#run(model, live.slice(half), passes);
    }
  }

  async #runTogether(
    model: PassModel,
    calls: readonly LaneCall[],
    passes: number,
    signal: AbortSignal,
  ): Promise<void> {
    const jobs = calls.map(({ call }) => call.job);
    const start = this.#now();
    const results = await this.#exclusive(() =>
      this.#models[model]!.runTogether(jobs, passes, { signal })
    );
    const now = this.#now();
    this.#meter.ran(model, jobs, passes, now - start);
    if (!signal.aborted) this.costs.learn(model, jobs, passes, now - start);
    const prices = calls.map(({ lane }) => lane.prices[model]);
    const charges = this.costs.charge(model, jobs, prices, passes, now - start);
    calls.forEach(({ lane, call }, i) => {
      lane.charged[model] += charges[i];
      this.costs.learnTurnaround((now - call.since) / Math.min(passes, jobs[i].passes));
      if (call.isOver) return;
      try {
        call.take(results[i]);
      } catch (error) {
        call.fail(error);
      }
    });
    if (++this.#runsInLess >= RUNS_IN_LESS) this.#fewerRows = Infinity;
  }

  #shrink(rows: number): void {
    this.#fewerRows = Math.max(1, Math.min(this.#fewerRows, rows));
    this.#runsInLess = 0;
  }

  /** Frees what passes have taken for themselves; none may run. */
  freeScratch(): Promise<void> {
    return this.#exclusive(async () => {
      for (const model of [this.#models.target, this.#models.draft]) await model?.freeScratch?.();
    });
  }

  /** Does something at once, or behind the run that is under way. */
  whenIdle(body: () => void): void {
    if (this.#isRunning) this.#afterwards.push(body);
    else body();
  }

  async #exclusive<T>(body: () => Promise<T>): Promise<T> {
    this.#isRunning = true;
    try {
      return await body();
    } finally {
      this.#isRunning = false;
      while (this.#afterwards.length > 0) this.#afterwards.shift()!();
    }
  }
}

function renew(call: PassCall): void {
  if (call.isOver) return;
  try {
    call.renew();
  } catch (error) {
    call.fail(error);
  }
}
