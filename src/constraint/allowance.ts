/** How long one language may take to be made ready: it holds up the thread that answers others. */

/** Milliseconds; what serves takes some tens, a loop over thousands of characters 1500. */
const MILLISECONDS = 2000;

/** The error of a language that takes too many states, or too long. */
export class SizeError extends Error {
  override readonly name = "SizeError";
}

/** Time for one language, from its schema or pattern to its automaton. */
export class Allowance {
  readonly #milliseconds: number;
  readonly #end: number;

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
}
