/** Calls of a request, as the scheduler runs them. */

import type { PassJob } from "../../model/batch/pass_job.ts";
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

/** A call that takes a part in one run of shared passes. */
export class PassCall<T = unknown> extends Call<T> {
  readonly #make: () => PassJob<T>;
  /** Its job for the next run. */
  job: PassJob<T>;

  /**
   * @param since milliseconds at which it was asked for
   * @throws what `make` throws
   */
  constructor(readonly model: PassModel, readonly since: number, make: () => PassJob<T>) {
    super();
    this.#make = make;
    this.job = make();
  }

  /** Makes the job anew, since each is run once. @throws what making it throws */
  renew(): void {
    this.job = this.#make();
  }

  /** Takes the job's result. */
  take(result: T): void {
    this.done(result);
  }
}
