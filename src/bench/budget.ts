/** The time that a bench may take: what it cannot finish within it is not begun. */

/** Seconds that are as good as none. */
const MOMENT = 0.05;

/** A time that runs out. */
export class Budget {
  readonly #start = performance.now();
  readonly #milliseconds: number;
  #keptSeconds = 0;

  /** Starts the clock. */
  constructor(minutes: number) {
    this.#milliseconds = 60_000 * minutes;
  }

  /** Seconds since the start. */
  get spentSeconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Seconds that are left, but for those kept; 0 when the time is over. */
  get leftSeconds(): number {
    return Math.max(0, this.#milliseconds / 1000 - this.spentSeconds - this.#keptSeconds);
  }

  /** Keeps so many seconds for the end, in place of those kept before. */
  keep(seconds: number): void {
    this.#keptSeconds = seconds;
  }

  /**
   * The time by `performance.now()` when the next of several stages should end: the time that is left
   * is shared among them equally.
   */
  endOfShare(stages: number): number {
    return performance.now() + 1000 * this.leftSeconds / Math.max(1, stages);
  }

  /** Why work of so many seconds is not begun; undefined if there is time for it. */
  lacks(seconds: number): string | undefined {
    const left = this.leftSeconds;
    if (seconds <= left) return undefined;
    return left < MOMENT
      ? "the time is over"
      : `it takes about ${seconds.toFixed(1)} s, and ${left.toFixed(1)} s are left`;
  }
}
