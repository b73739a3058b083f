/** A predictor that reports the time of its calls. */

import type { Canvas, CanvasStep, Prediction, Predictor } from "../predictor.ts";

/** Called after each call of a predictor. */
export interface PredictorObserver {
  /** A forward pass over some states has run; `cache` is given if it ran on a canvas. */
  predicted(
    answers: readonly (readonly Prediction[])[],
    milliseconds: number,
    cache?: CanvasStep["cache"],
  ): void;
  /** Steps have run on a canvas and were read back together. */
  ran(steps: readonly CanvasStep[], milliseconds: number): void;
}

/** Adds an observer to a predictor; the times leave out the caller's work between two calls. */
export function timedPredictor(predictor: Predictor, observer: PredictorObserver): Predictor {
  return {
    async predict(inputs) {
      const start = performance.now();
      const answers = await predictor.predict(inputs);
      observer.predicted(answers, performance.now() - start);
      return answers;
    },
    openCanvas: predictor.openCanvas && (async (sequences) => {
      const canvas = await predictor.openCanvas!(sequences);
      const run: Canvas["run"] = async (steps, signal) => {
        const start = performance.now();
        const commits = await canvas.run(steps, signal);
        if (steps.length > 0) observer.ran(steps, performance.now() - start);
        return commits;
      };
      const predict: Canvas["predict"] = async (asked, cache) => {
        const start = performance.now();
        const answers = await canvas.predict(asked, cache);
        observer.predicted(answers, performance.now() - start, cache);
        return answers;
      };
      return {
        hasTwin: (step) => canvas.hasTwin(step),
        run,
        predict,
        setIds: (sequence, ids, unconditional) => canvas.setIds(sequence, ids, unconditional),
        destroy: () => canvas.destroy(),
      };
    }),
  };
}
