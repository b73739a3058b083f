/**
 * Runs many requests at once: their calls become jobs, and jobs that wait at the same time share
 * forward passes. A result has the same bits whatever shares its pass.
 */

import { PagesError } from "../../model/batch/page_book.ts";
import type { BatchModel } from "../../model/batch/pass_job.ts";
import { GpuFaultError, GpuMemoryError } from "../../model/model.ts";
import type { LoadFigures } from "../load_figures.ts";
import { UnavailableError } from "../request_errors.ts";
import { Admission, type AdmissionOptions, type Wish } from "./admission.ts";
import { AloneCall, type Call, PassCall } from "./call.ts";
import { Lane, type LaneHost, type LanePages } from "./lane.ts";
import { LoadMeter } from "./load_meter.ts";
import { PassCosts, rowsOf } from "./pass_costs.ts";
import {
  choosePass,
  graceUntil,
  type PassModel,
  type PendingJob,
  POLICY_SETTINGS,
  type PolicyState,
} from "./policy.ts";

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

/** Settings of a scheduler. */
export interface SchedulerOptions extends AdmissionOptions {
  /** Chooses the jobs of the next run; default the policy of policy.ts. */
  readonly choose?: typeof choosePass;
}

/** Runs after which passes may grow again that were made smaller for want of memory. */
const RUNS_IN_LESS = 64;

/** While nobody else is there, no pass is worth waiting for: the model itself ends chains of slow ones. */
const ALONE = { ...POLICY_SETTINGS, longestChain: Infinity };

/** What a request holds while it runs. */
interface Place extends Disposable {
  readonly pages: LanePages;
}

/** Lets requests in, and runs their calls. */
export class Scheduler {
  readonly #models: SharedModels;
  readonly #admission: Admission<Place>;
  readonly #choose: typeof choosePass;
  readonly #costs = new PassCosts();
  readonly #now: () => number;
  readonly #lanes = new Set<Lane>();
  readonly #places = new Map<Lane, Place>();
  readonly #host: LaneHost;
  readonly #meter: LoadMeter;
  /** What waits for the run that is under way. */
  readonly #afterwards: (() => void)[] = [];
  #nextId = 0;
  #isLooping = false;
  #isRunning = false;
  /** Lanes that were ready when the last run began. */
  #last: readonly Lane[] = [];
  /** Whether the last run was work alone, so that passes are next. */
  #wasAlone = false;
  /** Runs so far, of either kind. */
  #turns = 0;
  /** Rows of a pass, while memory is short. */
  #fewerRows = Infinity;
  #runsInLess = 0;

  /** The models must be used by this scheduler alone. */
  constructor(models: SharedModels, options: SchedulerOptions) {
    this.#models = models;
    this.#now = options.now ?? (() => performance.now());
    this.#choose = options.choose ?? choosePass;
    this.#meter = new LoadMeter(this.#now());
    this.#admission = new Admission(options, (wish) => this.#reserve(wish));
    this.#host = {
      models,
      curves: this.#costs.curves,
      now: this.#now,
      wake: () => this.#wake(),
      whenIdle: (body) => this.#whenIdle(body),
      turnaround: () => this.#lanes.size > 1 ? this.#costs.turnaround : 0,
      closed: (lane) => this.#closed(lane),
    };
  }

  /** How busy it is. */
  get figures(): LoadFigures {
    const { waiting, running, places, answersPerSecond } = this.#admission;
    const requests = { waiting, running, places, answersPerSecond };
    return this.#meter.figures(this.#now(), this.#models.target.pages, requests);
  }

  /** Counts of answers, which the scheduler does not see itself. */
  get meter(): Pick<LoadMeter, "committed" | "proposed"> {
    return this.#meter;
  }

  /** Lanes that are open, those without a place included. */
  get lanes(): number {
    return this.#lanes.size;
  }

  /** Changes with every run: work in which it stays the same had the models to itself. */
  get turns(): number {
    return this.#turns;
  }

  /** @throws {BusyError} when another request would have to wait and too many do */
  checkRoom(): void {
    this.#admission.checkRoom();
  }

  /**
   * Waits for a place.
   * @throws {BusyError} when too many wait
   * @throws the signal's reason, when it is aborted before
   */
  async enter(wish: Wish): Promise<Lane> {
    const place = await this.#admission.enter(wish);
    const lane = this.visit({ ...wish, pages: place.pages });
    this.#places.set(lane, place);
    return lane;
  }

  /** A lane for a call or two, which takes no place and so never waits for one. */
  visit(options: Pick<Wish, "priority" | "signal"> & { readonly pages?: LanePages } = {}): Lane {
    const lane = new Lane(this.#nextId++, this.#host, options);
    this.#lanes.add(lane);
    return lane;
  }

  /** Frees what passes have taken for themselves, while none runs. */
  async freeScratch(): Promise<void> {
    using lane = this.visit();
    await lane.alone(() => this.#freeScratch());
  }

  #reserve({ pages, draftPages = 0 }: Wish): Place | undefined {
    const { target, draft } = this.#models;
    checkPages(pages, target);
    if (draft) checkPages(draftPages, draft);
    const own = pages > 0 ? target.reserve(pages) : undefined;
    if (pages > 0 && !own) return undefined;
    const drafts = draft && draftPages > 0 ? draft.reserve(draftPages) : undefined;
    if (draft && draftPages > 0 && !drafts) return void own?.release();
    return {
      pages: { target: own, draft: drafts },
      [Symbol.dispose]() {
        own?.release();
        drafts?.release();
      },
    };
  }

  #closed(lane: Lane): void {
    this.#lanes.delete(lane);
    const place = this.#places.get(lane);
    this.#places.delete(lane);
    if (place) this.#admission.leave(place);
  }

  #whenIdle(body: () => void): void {
    if (this.#isRunning) this.#afterwards.push(body);
    else body();
  }

  #wake(): void {
    if (this.#isLooping) return;
    this.#isLooping = true;
    this.#loop();
  }

  async #loop(): Promise<void> {
    for (let isOver = false; !isOver;) {
      try {
        const next = await this.#afterGrace();
        isOver = next.length === 0;
        if (!isOver) await this.#runSome(next);
        this.#isRunning = false;
        for (const body of this.#afterwards.splice(0)) body();
      } catch (error) {
        // Nobody may wait for ever, whatever went wrong.
        this.#isRunning = false;
        this.#failAll(error);
      }
    }
    this.#isLooping = false;
  }

  /** The calls that may run next, once those that will be back soon are back. */
  async #afterGrace(): Promise<readonly Next[]> {
    const ended = this.#now();
    for (;;) {
      // Who has got a result may ask for the next one before others go on without it.
      await turn();
      const next = [...this.#lanes].flatMap((lane) => lane.next ? { lane, call: lane.next } : []);
      const returning = this.#last.filter((lane) => !lane.isClosed && !lane.next).length;
      const passes = passesOf(next);
      if (returning === 0 || passes.length < next.length || next.length === 0) return next;
      const state = this.#state(passes, next.length);
      if (this.#now() >= graceUntil(this.#pending(passes), ended, returning, state)) return next;
    }
  }

  /** Runs work alone or passes, in turns where both wait. */
  async #runSome(next: readonly Next[]): Promise<void> {
    this.#isRunning = true;
    this.#turns++;
    this.#last = next.map(({ lane }) => lane);
    const works = next.flatMap(({ lane, call }) => call instanceof AloneCall ? { lane, call } : []);
    const passes = passesOf(next);
    if (works.length > 0 && (passes.length === 0 || !this.#wasAlone)) {
      this.#wasAlone = true;
      return await this.#runAlone(works[0].lane, works[0].call);
    }
    this.#wasAlone = false;
    const state = this.#state(passes, next.length);
    const { model, jobs, passes: most } = this.#choose(this.#pending(passes), state);
    await this.#run(model, this.#fitting(model, jobs.map((i) => passes[i])), most);
  }

  #pending(calls: readonly LaneCall[]): PendingJob[] {
    return calls.map(({ lane, call }) => ({
      request: lane.id,
      model: call.model,
      rows: call.job.rows,
      passes: call.job.passes,
      refreshes: call.job.refreshes,
      since: call.since,
      priority: lane.priority,
      begun: lane.isBegun,
    }));
  }

  /** @param ready lanes with a call */
  #state(calls: readonly LaneCall[], ready: number): PolicyState {
    const mostRows = Math.min(...calls.map(({ call }) => this.#mostRows(call.model)));
    // A lane without a call is about to have one.
    const newcomers = this.#admission.hasNewcomers || ready < this.#lanes.size;
    const settings = this.#lanes.size === 1 ? ALONE : POLICY_SETTINGS;
    return { curves: this.#costs.curves, mostRows, newcomers, settings };
  }

  async #runAlone(lane: Lane, call: AloneCall): Promise<void> {
    const start = this.#now();
    const elapsed = () => this.#now() - start;
    try {
      const result = await call.body();
      lane.charged.target += elapsed();
      if (!call.isOver) call.take(result);
    } catch (error) {
      if (error instanceof GpuMemoryError) await this.#freeScratch();
      call.fail(error);
      if (error instanceof GpuFaultError) this.#failAll(error);
    }
    this.#meter.ranAlone(elapsed());
  }

  #mostRows(model: PassModel): number {
    return Math.min(this.#models[model]!.mostRows, this.#fewerRows);
  }

  /** The first of the chosen calls that fit one pass, at least one. */
  #fitting(model: PassModel, chosen: readonly LaneCall[]): LaneCall[] {
    const most = this.#mostRows(model);
    let rows = 0;
    return chosen.filter(({ call }, i) => (rows += call.job.rows) <= most || i === 0);
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
        await this.#freeScratch();
      }
      const isWhole = isMemory || error instanceof PagesError || error instanceof RangeError;
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
    const results = await this.#models[model]!.runTogether(jobs, passes, { signal });
    const now = this.#now();
    this.#meter.ran(model, jobs, passes, now - start);
    if (!signal.aborted) this.#costs.learn(model, jobs, passes, now - start);
    const prices = calls.map(({ lane }) => lane.prices[model]);
    const charges = this.#costs.charge(model, jobs, prices, passes, now - start);
    calls.forEach(({ lane, call }, i) => {
      lane.charged[model] += charges[i];
      this.#costs.learnTurnaround((now - call.since) / Math.min(passes, jobs[i].passes));
      if (call.isOver) return;
      try {
        call.take(results[i], now);
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

  async #freeScratch(): Promise<void> {
    for (const model of [this.#models.target, this.#models.draft]) await model?.freeScratch?.();
  }

  #failAll(error: unknown): void {
    this.#admission.refuseAll(error);
    for (const lane of this.#lanes) lane.failAll(error);
  }
}

/** @throws {UnavailableError} when a request needs more pages than there are in all */
function checkPages(pages: number, model: BatchModel): void {
  const { total, positions } = model.pages;
  if (pages <= total) return;
  throw new UnavailableError(
    "The model keeps too few keys and values for this request. Shorten the conversation, ask for " +
      "fewer tokens, use no cache, or load the model with more pages (--cache-pages).",
    "out_of_memory",
    `${pages} pages of ${positions} positions are needed, and there are ${total}`,
  );
}

/** A call and whose it is. */
interface LaneCall {
  readonly lane: Lane;
  readonly call: PassCall;
}

/** A lane with a call that may run. */
interface Next {
  readonly lane: Lane;
  readonly call: Call;
}

/** The calls that share passes. */
function passesOf(next: readonly Next[]): LaneCall[] {
  return next.flatMap(({ lane, call }) => call instanceof PassCall ? { lane, call } : []);
}

/** Lets everything go on that can without the GPU. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function renew(call: PassCall): void {
  if (call.isOver) return;
  try {
    call.renew();
  } catch (error) {
    call.fail(error);
  }
}
