/** Decides which requests run at once, and which wait for a place or for pages. */

import { BusyError } from "../request_errors.ts";
import { AnswerRate } from "./answer_rate.ts";

/** What a request takes while it runs, and how it waits. Times are milliseconds of the admission's clock. */
export interface Wish extends Turn {
  /** Pages of the target's keys and values; 0 if it keeps none. */
  readonly pages: number;
  /** The same of the draft. */
  readonly draftPages?: number;
  /** Aborted: it waits no longer. */
  readonly signal?: AbortSignal;
}

/** How a request waits. */
export interface Turn {
  /** Higher goes first; default 0. */
  readonly priority?: number;
  /** When it is wanted: it is refused where it still waits then. Default: whenever it comes. */
  readonly due?: number;
  /** Until when one of higher priority may have it refused. Default: for as long as it waits. */
  readonly givesWayUntil?: number;
  /** Of an answer to a request that has several: that request. */
  readonly request?: string;
  /** Whether that request has begun, so that this answer is refused in no case. */
  readonly hasBegun?: boolean;
  /** Whether it is the first, and others come when it has begun. */
  readonly hasOthers?: boolean;
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

/**
 * How many seconds of waiting one step of priority is worth, so that low ones get in at last. So long
 * after it came a request is due that does not say when.
 */
export const PRIORITY_SECONDS = 30;
/** Milliseconds of a step. */
const STEP = 1000 * PRIORITY_SECONDS;
/** The longest time of a timer. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** Milliseconds for which others may pass a request that finds too few pages. */
export const MOST_PASSING = 5000;
/** Seconds after which to try again while nothing is known of how long answers take. */
const UNKNOWN_RETRY = 5;
/** The longest time that a client is told to wait. */
const MOST_RETRY = 60;

interface Waiting<T extends Disposable> {
  readonly wish: Wish;
  readonly came: number;
  /** Whether there was no room for it when it came. */
  waits?: boolean;
  /** Since when it is passed by others, for want of pages. */
  blockedSince?: number;
  readonly enter: (held: T) => void;
  readonly refuse: (reason: unknown) => void;
}

/**
 * Lets a number of requests in: those that are due first, where a step of priority, and each place
 * that the other answers of its request have, counts as some seconds. A request for which there are
 * too few pages now waits; others behind it may pass it, but only for a while, so that its pages come
 * together.
 */
export class Admission<T extends Disposable> {
  readonly #options: AdmissionOptions;
  readonly #reserve: (wish: Wish) => T | undefined;
  readonly #now: () => number;
  readonly #rate: AnswerRate;
  /** In the order in which they came. */
  readonly #waiting: Waiting<T>[] = [];
  /** What runs. */
  readonly #running = new Map<T, Wish>();
  /** Requests of which only the first answer has come. */
  readonly #incomplete = new Set<string>();

  /**
   * @param reserve sets aside what a request takes; undefined when there is too little now
   */
  constructor(options: AdmissionOptions, reserve: (wish: Wish) => T | undefined) {
    this.#options = options;
    this.#reserve = reserve;
    this.#now = options.now ?? (() => performance.now());
    this.#rate = new AnswerRate(this.#now);
  }

  /** Answers that run. */
  get running(): number {
    return this.#running.size;
  }

  /** Answers that may run at once. */
  get places(): number {
    return this.#options.maxRunning;
  }

  /** Requests that wait; one that has several answers counts once. */
  get waiting(): number {
    return requestsOf(this.#waiting);
  }

  /** Whether a request that waits, or is about to come, may come in before long: there is a place for it. */
  get hasNewcomers(): boolean {
    return this.#waiting.length + this.#incomplete.size > 0 && this.running < this.places;
  }

  /** Answers that end in a second, while any runs; 0 before the first has ended. */
  get answersPerSecond(): number {
    return this.#rate.perSecond;
  }

  /** @throws {BusyError} when a request would have to wait and too many do */
  checkRoom(turn: Turn = {}): void {
    if (this.#waiting.length === 0 && this.running < this.places) return;
    if (this.#refusedFor(turn, this.#waiting) === "itself") throw this.#full();
  }

  /**
   * Waits for a place.
   * @returns what was set aside; the request calls {@linkcode leave} with it when it is done
   * @throws {BusyError} when too many wait, or when it still waits when it is due
   * @throws the signal's reason, when it is aborted before
   */
  async enter(wish: Wish): Promise<T> {
    wish.signal?.throwIfAborted();
    this.checkRoom(wish);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const { signal, due = Infinity, hasBegun, request } = wish;
    if (request !== undefined && hasBegun) this.#incomplete.delete(request);
    const others = [...this.#waiting];
    const waiting: Waiting<T> = { wish, came: this.#now(), enter: resolve, refuse: reject };
    this.#waiting.push(waiting);
    const abort = () => this.#refuse(waiting, signal!.reason);
    signal?.addEventListener("abort", abort, { once: true });
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      this.admit();
      if (this.#waiting.includes(waiting)) {
        waiting.waits = true;
        this.#makeRoom(waiting, others.filter((one) => this.#waiting.includes(one)));
        const left = hasBegun ? Infinity : Math.max(0, due - this.#now());
        const late = () => this.#refuse(waiting, this.#late());
        if (left < LONGEST_TIMER) timer = setTimeout(late, left);
      }
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Gives back what {@linkcode enter} returned. */
  leave(held: T): void {
    held[Symbol.dispose]();
    const { hasOthers, request } = this.#running.get(held) ?? {};
    if (hasOthers && request !== undefined) this.#incomplete.delete(request);
    this.#running.delete(held);
    this.#rate.ended(this.running);
    this.admit();
  }

  /** Lets in all that may come in now, and refuses those that were due before. */
  admit(): void {
    this.#refuseLate();
    const passed = new Set<Waiting<T>>();
    while (this.running < this.places) {
      const next = this.#next(passed);
      if (!next) return;
      let held: T | undefined;
      try {
        held = this.#reserve(next.wish);
      } catch (error) {
        this.#refuse(next, error);
        continue;
      }
      if (held) {
        this.#remove(next);
        this.#running.set(held, next.wish);
        const { hasOthers, request } = next.wish;
        if (hasOthers && request !== undefined) this.#incomplete.add(request);
        this.#rate.began(this.running);
        next.enter(held);
        continue;
      }
      passed.add(next);
      const now = this.#now();
      next.blockedSince ??= now;
      if (now - next.blockedSince >= MOST_PASSING) return;
    }
  }

  /** Refuses all that wait. */
  refuseAll(reason: unknown): void {
    for (const waiting of [...this.#waiting]) this.#refuse(waiting, reason);
  }

  /** Who is let in next; of those that are due at the same time, who came first. */
  #next(passed: ReadonlySet<Waiting<T>>): Waiting<T> | undefined {
    const places = new Map<string | undefined, number>();
    for (const { request } of this.#running.values()) {
      if (request !== undefined) places.set(request, (places.get(request) ?? 0) + 1);
    }
    const rank = ({ came, wish: { priority = 0, due = Infinity, request } }: Waiting<T>) =>
      Math.min(due, came + STEP) + STEP * ((places.get(request) ?? 0) - priority);
    let first: Waiting<T> | undefined;
    for (const waiting of this.#waiting) {
      if (!passed.has(waiting) && (!first || rank(waiting) < rank(first))) first = waiting;
    }
    return first;
  }

  #refuseLate(): void {
    const now = this.#now();
    for (const waiting of [...this.#waiting]) {
      const { due = Infinity, hasBegun } = waiting.wish;
      if (waiting.waits && !hasBegun && now >= due) this.#refuse(waiting, this.#late());
    }
  }

  /** Refuses one where now more wait than may. */
  #makeRoom(waiting: Waiting<T>, others: readonly Waiting<T>[]): void {
    const refused = this.#refusedFor(waiting.wish, others);
    if (refused === "itself") this.#refuse(waiting, this.#full());
    else if (refused) {
      const message = "Too many requests are waiting, and one of higher priority has come";
      this.#refuse(refused, this.#busy(message, "gave_way"));
    }
  }

  /**
   * Whom there is no room for when a request waits beside others: one of them, it itself, or nobody.
   * Where those of lower priority can be refused no more, it waits beyond the bound, up to twice it.
   */
  #refusedFor(turn: Turn, others: readonly Waiting<T>[]): Waiting<T> | "itself" | undefined {
    const { maxWaiting } = this.#options;
    if (turn.hasBegun || requestsOf(others) < maxWaiting) return undefined;
    const isLower = (one: Waiting<T>) => priorityOf(one.wish) < priorityOf(turn);
    const now = this.#now();
    let lowest: Waiting<T> | undefined;
    for (const one of others.filter(isLower)) {
      const { hasBegun, givesWayUntil = Infinity } = one.wish;
      if (hasBegun || now >= givesWayUntil) continue;
      if (!lowest || priorityOf(one.wish) <= priorityOf(lowest.wish)) lowest = one;
    }
    if (lowest) return lowest;
    const counts = requestsOf(others.filter((one) => !isLower(one)));
    return counts < maxWaiting && requestsOf(others) < 2 * maxWaiting ? undefined : "itself";
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

  #full(): BusyError {
    return this.#busy(`${this.waiting} requests are waiting already and no more can wait`);
  }

  #late(): BusyError {
    return this.#busy("The deadline came before there was a place for the request", "deadline");
  }

  #busy(message: string, reason?: BusyError["reason"]): BusyError {
    const rate = this.answersPerSecond;
    const seconds = rate > 0 ? Math.ceil(Math.max(1, this.#waiting.length) / rate) : UNKNOWN_RETRY;
    const after = Math.min(MOST_RETRY, Math.max(1, seconds));
    return new BusyError(`${message}: try again later`, after, reason);
  }
}

function priorityOf({ priority = 0 }: Turn): number {
  return priority;
}

/** How many requests wait; answers to the same one count once. */
function requestsOf(waiting: readonly { readonly wish: Turn }[]): number {
  return new Set(waiting.map((one) => one.wish.request ?? one)).size;
}
