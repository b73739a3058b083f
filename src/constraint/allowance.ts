/** How long one language may take to be made ready, and how it gives way to others meanwhile. */

import { Turns, type Work } from "./work.ts";

/** Milliseconds; what serves takes some tens, a loop over thousands of characters 1500. */
const MILLISECONDS = 2000;

/** The error of a language that takes too many states, or too long. */
export class SizeError extends Error {
  override readonly name = "SizeError";
}

/** Time for one language, from its schema or pattern to its automaton. */
export class Allowance {
  readonly #milliseconds: number;
  #end: number;

  /** Begins now. */
  constructor(milliseconds = MILLISECONDS) {
    this.#milliseconds = milliseconds;
    this.#end = performance.now() + milliseconds;
  }

  /** @throws {SizeError} when the time is over */
  check(): void {
    if (performance.now() <= this.#end) return;
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
      if (turns.isOver) this.#end += await turns.give(signal);
    }
  }
}
