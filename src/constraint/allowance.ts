/** How long one language may take to be made ready, and how it gives way to others meanwhile. */

import process from "node:process";
import { Turns, type Work } from "./work.ts";

/** Milliseconds; what serves takes some tens, a loop over thousands of characters 1500. */
const MILLISECONDS = 2000;

/**
 * By the clock it may take so many times as long: where the system does not tell what a thread has
 * computed (it reads /proc), that stands still, and a language would never take too long.
 */
const MOST_TIMES = 16;

/** The error of a language that takes too many states, or too long. */
export class SizeError extends Error {
  override readonly name = "SizeError";
}

/** Milliseconds that this thread has computed. */
function computed(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/**
 * Time for one language, from its schema or pattern to its automaton. A machine that is busy elsewhere
 * gives this thread a part of its time only: what counts is what the thread computes.
 */
export class Allowance {
  readonly #milliseconds: number;
  /** Before it by the clock, it cannot have computed for so long. */
  #end: number;
  /** By the clock, when it is over whatever was computed. */
  #last: number;
  /** What the thread had computed when it began, and for others since. */
  #before = computed();

  /** Begins now. */
  constructor(milliseconds = MILLISECONDS) {
    this.#milliseconds = milliseconds;
    this.#end = performance.now() + milliseconds;
    this.#last = performance.now() + MOST_TIMES * milliseconds;
  }

  /** @throws {SizeError} when the time is over */
  check(): void {
    const now = performance.now();
    if (now <= this.#end) return;
    const left = this.#milliseconds - (computed() - this.#before);
    if (left > 0 && now < this.#last) {
      this.#end = now + left;
      return;
    }
    const seconds = this.#milliseconds / 1000;
    throw new SizeError(`it takes more than ${seconds} seconds to make ready: make it smaller`);
  }

  /**
   * Does work in slices, between which the thread answers others; their time does not count.
   * @throws the signal's reason when it is aborted before the work is done
   */
  async run<T>(work: Work<T>, signal?: AbortSignal): Promise<T> {
    const turns = new Turns();
    for (let next = work.next();; next = work.next()) {
      if (next.done) return next.value;
      if (!turns.isOver) continue;
      const given = computed();
      const taken = await turns.give(signal);
      this.#end += taken;
      this.#last += taken;
      this.#before += computed() - given;
    }
  }
}
