/**
 * Runs many requests at once: their calls become jobs, and jobs that wait at the same time share
 * forward passes. A result has the same bits whatever shares its pass.
 */

import type { BatchModel } from "../../model/batch/pass_job.ts";
import type { LoadFigures } from "../load_figures.ts";
import { UnavailableError } from "../request_errors.ts";
import { Admission, type AdmissionOptions, type Turn, type Wish } from "./admission.ts";
import { AloneCall, type Call, PassCall } from "./call.ts";
import { Lane, type LaneHost, type LanePages } from "./lane.ts";
import { LoadMeter } from "./load_meter.ts";
import { type LaneCall, PassRunner, type SharedModels } from "./pass_runner.ts";
import {
  choosePass,
  graceUntil,
  type PendingJob,
  POLICY_SETTINGS,
  type PolicyState,
  urgencyOf,
} from "./policy.ts";

/** Settings of a scheduler. */
export interface SchedulerOptions extends AdmissionOptions {
  /** Chooses the jobs of the next run; default the policy of policy.ts. */
  readonly choose?: typeof choosePass;
}

/** While nobody else is there, passes follow each other for longer; who comes waits no longer than that. */
const ALONE = { ...POLICY_SETTINGS, longestChain: 1000 };

/** What a request holds while it runs. */
interface Place extends Disposable {
  readonly pages: LanePages;
}

/** Lets requests in, and runs their calls. */
export class Scheduler {
  readonly #models: SharedModels;
  readonly #admission: Admission<Place>;
  readonly #choose: typeof choosePass;
  readonly #now: () => number;
  readonly #lanes = new Set<Lane>();
  readonly #places = new Map<Lane, Place>();
  readonly #host: LaneHost;
  readonly #meter: LoadMeter;
  readonly #runner: PassRunner;
  #nextId = 0;
  #isLooping = false;
  /** Lanes that were ready when the last run began. */
  #last: readonly Lane[] = [];
  /** Whether the last run was work alone, so that passes are next. */
  #wasAlone = false;

  /** The models must be used by this scheduler alone. */
  constructor(models: SharedModels, options: SchedulerOptions) {
    this.#models = models;
    this.#now = options.now ?? (() => performance.now());
    this.#choose = options.choose ?? choosePass;
    this.#meter = new LoadMeter(this.#now());
    this.#runner = new PassRunner(models, this.#meter, this.#now, (error) => this.#failAll(error));
    this.#admission = new Admission(options, (wish) => this.#reserve(wish));
    this.#host = {
      models,
      curves: this.#runner.costs.curves,
      now: this.#now,
      wake: () => this.#wake(),
      whenIdle: (body) => this.#runner.whenIdle(body),
      turnaround: () => this.#lanes.size > 1 ? this.#runner.costs.turnaround : 0,
      // Asked for a lane that is open, so it counts itself.
      others: (model) => this.#runner.costs.usual[model].of(Math.max(0, this.#lanes.size - 1)),
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

  /** @throws {BusyError} when a request would have to wait and too many do */
  checkRoom(turn?: Turn): void {
    this.#admission.checkRoom(turn);
  }

  /**
   * Waits for a place.
   * @throws {BusyError} when too many wait, or when it still waits when it is due
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
    await lane.alone(() => this.#runner.freeScratch());
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
    this.#last = this.#last.filter((other) => other !== lane);
    const place = this.#places.get(lane);
    this.#places.delete(lane);
    if (place) this.#admission.leave(place);
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
      } catch (error) {
        // Nobody may wait for ever, whatever went wrong.
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
    this.#last = next.map(({ lane }) => lane);
    const works = next.flatMap(({ lane, call }) => call instanceof AloneCall ? { lane, call } : []);
    const passes = passesOf(next);
    if (works.length > 0 && (passes.length === 0 || !this.#wasAlone)) {
      this.#wasAlone = true;
      const { lane, call } = longestWaiting(works, this.#now());
      return await this.#runner.runAlone(lane, call);
    }
    this.#wasAlone = false;
    const state = this.#state(passes, next.length);
    const { model, jobs, passes: most } = this.#choose(this.#pending(passes), state);
    await this.#runner.run(model, jobs.map((i) => passes[i]), most);
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
    const mostRows = Math.min(...calls.map(({ call }) => this.#runner.mostRows(call.model)));
    // A lane without a call is about to have one.
    const newcomers = this.#admission.hasNewcomers || ready < this.#lanes.size;
    const settings = this.#lanes.size === 1 ? ALONE : POLICY_SETTINGS;
    return { curves: this.#runner.costs.curves, mostRows, newcomers, settings };
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

/** A lane with a call that may run. */
interface Next {
  readonly lane: Lane;
  readonly call: Call;
}

/** A call that runs alone. */
interface Work {
  readonly lane: Lane;
  readonly call: AloneCall;
}

/** The work that has waited longest; with each step of priority, time counts twice. */
function longestWaiting(works: readonly Work[], now: number): Work {
  const waited = ({ lane: { priority }, call }: Work) => (now - call.since) * urgencyOf(priority);
  return works.reduce((longest, work) => waited(work) > waited(longest) ? work : longest);
}

/** The calls that share passes. */
function passesOf(next: readonly Next[]): LaneCall[] {
  return next.flatMap(({ lane, call }) => call instanceof PassCall ? { lane, call } : []);
}

/** Lets everything go on that can without the GPU. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
