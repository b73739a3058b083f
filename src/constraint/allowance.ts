/** How long one language may take to be made ready, and how it gives way to others meanwhile. */

import process from "node:process";
import { Turns, type Work } from "./work.ts";

/** Milliseconds; what serves takes some tens, a loop over thousands of characters 1500. */
const MILLISECONDS = 2000;

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
  /** What the thread had computed when it began, and for others since. */
  #before = computed();

  /** Begins now. */
  constructor(milliseconds = MILLISECONDS) {
    this.#milliseconds = milliseconds;
    this.#end = performance.now() + milliseconds;
  }

  /** @throws {SizeError} when the time is over */
  check(): void {
    if (performance.now() <= this.#end) return;
    const left = this.#milliseconds - (computed() - this.#before);
    if (left > 0) {
      this.#end = performance.now() + left;
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
      this.#end += await turns.give(signal);
      this.#before += computed() - given;
    }
  }
}
