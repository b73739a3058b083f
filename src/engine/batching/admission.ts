/** Decides which requests run at once, and which wait for a place or for pages. */

import { BusyError } from "../request_errors.ts";
import { AnswerRate } from "./answer_rate.ts";

/** What a request takes while it runs. */
export interface Wish {
  /** Pages of the target's keys and values; 0 if it keeps none. */
  readonly pages: number;
  /** The same of the draft. */
  readonly draftPages?: number;
  /** Higher goes first; default 0. */
  readonly priority?: number;
  /** Aborted: it waits no longer. */
  readonly signal?: AbortSignal;
}

/** Settings of an admission. */
export interface AdmissionOptions {
  /** Requests that run at once at most. */
  readonly maxRunning: number;
  /** Requests that may wait. */
  readonly maxWaiting: number;
  /** Milliseconds, for tests; default the clock. */
  readonly now?: () => number;
}

/** How many seconds of waiting one step of priority is worth, so that low ones get in at last. */
export const PRIORITY_SECONDS = 30;
/** Milliseconds for which others may pass a request that finds too few pages. */
export const MOST_PASSING = 5000;
/** Seconds after which to try again while nothing is known of how long answers take. */
const UNKNOWN_RETRY = 5;
/** The longest time that a client is told to wait. */
const MOST_RETRY = 60;

interface Waiting<T extends Disposable> {
  readonly wish: Wish;
  /** When it came, earlier by what its priority is worth. */
  readonly rank: number;
  /** Since when it is passed by others, for want of pages. */
  blockedSince?: number;
  readonly enter: (held: T) => void;
  readonly refuse: (reason: unknown) => void;
}

/**
 * Lets a number of requests in, by priority, then in the order they came. A request for which there
 * are too few pages now waits; others behind it may pass it, but only for a while, so that its pages
 * come together.
 */
export class Admission<T extends Disposable> {
  readonly #options: AdmissionOptions;
  readonly #reserve: (wish: Wish) => T | undefined;
  readonly #now: () => number;
  readonly #rate: AnswerRate;
  /** In the order in which they are let in. */
  readonly #waiting: Waiting<T>[] = [];
  #running = 0;

  /**
   * @param reserve sets aside what a request takes; undefined when there is too little now
   */
  constructor(options: AdmissionOptions, reserve: (wish: Wish) => T | undefined) {
    this.#options = options;
    this.#reserve = reserve;
    this.#now = options.now ?? (() => performance.now());
    this.#rate = new AnswerRate(this.#now);
  }

  /** Requests that run. */
  get running(): number {
    return this.#running;
  }

  /** Requests that may run at once. */
  get places(): number {
    return this.#options.maxRunning;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether a request that waits may come in before long, as there is a place for it. */
  get hasNewcomers(): boolean {
    return this.#waiting.length > 0 && this.#running < this.#options.maxRunning;
  }

  /** Requests that leave in a second, while any runs; 0 before the first has left. */
  get answersPerSecond(): number {
    return this.#rate.perSecond;
  }

  /** @throws {BusyError} when another request would have to wait and too many do */
  checkRoom(): void {
    const { maxRunning, maxWaiting } = this.#options;
    if (this.#waiting.length < maxWaiting) return;
    if (this.#waiting.length === 0 && this.#running < maxRunning) return;
    throw this.#busy();
  }

  /**
   * Waits for a place.
   * @returns what was set aside; the request calls {@linkcode leave} with it when it is done
   * @throws {BusyError} when too many wait
   * @throws the signal's reason, when it is aborted before
   */
  async enter(wish: Wish): Promise<T> {
    wish.signal?.throwIfAborted();
    this.checkRoom();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const { signal, priority = 0 } = wish;
    const waiting: Waiting<T> = {
      wish,
      rank: this.#now() - priority * PRIORITY_SECONDS * 1000,
      enter: resolve,
      refuse: reject,
    };
    const before = this.#waiting.findIndex(({ rank }) => rank > waiting.rank);
    this.#waiting.splice(before < 0 ? this.#waiting.length : before, 0, waiting);
    const abort = () => this.#refuse(waiting, signal!.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      this.admit();
      if (this.#waiting.length > this.#options.maxWaiting && this.#waiting.includes(waiting)) {
        this.#refuse(waiting, this.#busy());
      }
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Gives back what {@linkcode enter} returned. */
  leave(held: T): void {
    held[Symbol.dispose]();
    this.#running--;
    this.#rate.ended(this.#running);
    this.admit();
  }

  /** Lets in all that may come in now. */
  admit(): void {
    for (const waiting of [...this.#waiting]) {
      if (this.#running >= this.#options.maxRunning) return;
      if (!this.#waiting.includes(waiting)) continue;
      let held: T | undefined;
      try {
        held = this.#reserve(waiting.wish);
      } catch (error) {
        this.#refuse(waiting, error);
        continue;
      }
      if (held) {
        this.#remove(waiting);
        this.#running++;
        this.#rate.began(this.#running);
        waiting.enter(held);
        continue;
      }
      const now = this.#now();
      waiting.blockedSince ??= now;
      if (now - waiting.blockedSince >= MOST_PASSING) return;
    }
  }

  /** Refuses all that wait. */
  refuseAll(reason: unknown): void {
    for (const waiting of [...this.#waiting]) this.#refuse(waiting, reason);
  }

  #refuse(waiting: Waiting<T>, reason: unknown): void {
    if (!this.#remove(waiting)) return;
    waiting.refuse(reason);
    // Those behind it may have waited for its pages.
    this.admit();
  }

  #remove(waiting: Waiting<T>): boolean {
    const at = this.#waiting.indexOf(waiting);
    if (at >= 0) this.#waiting.splice(at, 1);
    return at >= 0;
  }

  #busy(): BusyError {
    const waiting = this.#waiting.length;
    const rate = this.answersPerSecond;
    const seconds = rate > 0 ? Math.ceil(Math.max(1, waiting) / rate) : UNKNOWN_RETRY;
    return new BusyError(
      `${waiting} requests are waiting already and no more can wait: try again later`,
      Math.min(MOST_RETRY, Math.max(1, seconds)),
    );
  }
}
