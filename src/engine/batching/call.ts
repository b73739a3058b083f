/** Calls of a request, as the scheduler runs them. */

import type { CanvasStep, Commit } from "../../denoise/predictor.ts";
import type { BatchCanvas, PassJob } from "../../model/batch/pass_job.ts";
import type { PassModel } from "./policy.ts";

/** A call that waits, or that runs. */
export abstract class Call<T = unknown> {
  readonly #settle = Promise.withResolvers<T>();
  /** Told when it fails, such as by an abort, also while it runs. */
  onFail: () => void = () => {};
  #isOver = false;

  /** Whether it was settled: it is not run, or its result dropped. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What the caller waits for. */
  get result(): Promise<T> {
    return this.#settle.promise;
  }

  /** Ends it with an error, unless it is over. */
  fail(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#settle.reject(reason);
    this.onFail();
  }

  protected done(result: T): void {
    this.#isOver = true;
    this.#settle.resolve(result);
  }
}

/** Work that uses a model directly, while no pass runs. */
export class AloneCall<T = unknown> extends Call<T> {
  /**
   * Takes the work; it is not begun. It may be done twice, where it fails for want of memory.
   * @param since milliseconds at which it was asked for
   */
  constructor(readonly body: () => Promise<T>, readonly since: number) {
    super();
  }

  /** Takes what the work returned. */
  take(result: T): void {
    this.done(result);
  }
}

/** A call that takes a part in shared passes. */
export abstract class PassCall<T = unknown, R = unknown> extends Call<T> {
  /** Its job for the next run. */
  abstract job: PassJob<R>;

  /** @param since milliseconds at which its job was ready to run */
  constructor(readonly model: PassModel, public since: number) {
    super();
  }

  /** Makes the job anew, since each is run once. @throws what making it throws */
  abstract renew(): void;
  /** Takes the job's result. If that was only a part, the call has a job for the rest now. */
  abstract take(result: R, now: number): void;
}

/** A call whose job is done in one run. */
export class SingleCall<T> extends PassCall<T, T> {
  readonly #make: () => PassJob<T>;
  job: PassJob<T>;

  /** @throws what `make` throws */
  constructor(model: PassModel, since: number, make: () => PassJob<T>) {
    super(model, since);
    this.#make = make;
    this.job = make();
  }

  renew(): void {
    this.job = this.#make();
  }

  take(result: T): void {
    this.done(result);
  }
}

/** A call of steps on a canvas, which may take several runs. It gives the commits of all steps. */
export class StepsCall extends PassCall<Commit[][][], Commit[][][]> {
  readonly #canvas: Pick<BatchCanvas, "stepsJob">;
  readonly #steps: readonly CanvasStep[];
  readonly #commits: Commit[][][] = [];
  job: PassJob<Commit[][][]>;

  /** @throws what {@linkcode BatchCanvas.stepsJob} throws */
  constructor(
    model: PassModel,
    since: number,
    canvas: Pick<BatchCanvas, "stepsJob">,
    steps: readonly CanvasStep[],
  ) {
    super(model, since);
    this.#canvas = canvas;
    this.#steps = steps;
    this.job = canvas.stepsJob(steps);
  }

  renew(): void {
    this.job = this.#canvas.stepsJob(this.#steps.slice(this.#commits.length));
  }

  take(commits: Commit[][][], now: number): void {
    if (commits.length === 0) throw new Error("none of a job's steps were run");
    this.#commits.push(...commits);
    if (this.#commits.length >= this.#steps.length) return this.done(this.#commits);
    this.since = now;
    this.renew();
  }
}
