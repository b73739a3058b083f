/** How fast steps are, and which of them may be chained on the GPU. */

/** Milliseconds; waiting between two steps costs about 11. */
const SLOW_STEP_MS = 200;

/** What a model knows of its own steps. */
export class StepPace {
  /** Measured by the last canvas run; before it, steps are taken to be slow. */
  millisecondsPerRow = Infinity;
  /**
   * Milliseconds. Steps that take longer are submitted one by one, so that a cancellation takes
   * effect between two of them. Faster ones are chained in one submit.
   */
  slowStep = SLOW_STEP_MS;

  /** Whether a step of so many rows takes longer. */
  isSlow(rows: number): boolean {
    return this.millisecondsPerRow * rows > this.slowStep;
  }
}
