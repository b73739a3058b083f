/** Measures how fast steps are, to decide which may be chained on the GPU. */

/**
 * Milliseconds from which a step is slow; for comparison, a wait between two steps costs about 11.
 */
const SLOW_STEP_MS = 200;

/** The measured speed of a model's steps. */
export class StepPace {
  /** Measured in the last canvas run; before the first one, steps count as slow. */
  millisecondsPerRow = Infinity;
  /**
   * Milliseconds from which a step is slow. Slow steps are submitted one by one, so that they can
   * be cancelled between two of them. Faster steps are chained in one submit.
   */
  slowStep = SLOW_STEP_MS;

  /** Whether a step of this many rows is slow. */
  isSlow(rows: number): boolean {
    return this.millisecondsPerRow * rows > this.slowStep;
  }
}
