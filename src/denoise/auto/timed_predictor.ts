/** A predictor that reports what its calls cost. */

import type { Canvas, CanvasStep, Prediction, Predictor } from "../predictor.ts";

/** The cost of a call. */
export interface CallTime {
  /**
   * What it cost: milliseconds of shared passes that were charged to it, where requests share
   * passes, else the time that it took.
   */
  readonly milliseconds: number;
  /** Milliseconds until its results were there: with those of rows and passes of other requests. */
  readonly waited: number;
}

/** Called after each call of a predictor. */
export interface PredictorObserver {
  /** A forward pass over some states has run; `cache` is given if it ran on a canvas. */
  predicted(
    answers: readonly (readonly Prediction[])[],
    time: CallTime,
    cache?: CanvasStep["cache"],
  ): void;
  /** Steps have run on a canvas and were read back together. */
  ran(steps: readonly CanvasStep[], time: CallTime): void;
}

/**
 * Measures calls of a predictor that do not overlap.
 * @returns a function that runs a call and returns its result and cost
 */
export function callTimer(
  predictor: Predictor,
): <T>(call: () => Promise<T>) => Promise<{ readonly result: T; readonly time: CallTime }> {
  return async (call) => {
    const before = predictor.charged?.() ?? 0;
    const start = performance.now();
    const result = await call();
    const waited = performance.now() - start;
    const charged = predictor.charged?.();
    return {
      result,
      time: { milliseconds: charged === undefined ? waited : charged - before, waited },
    };
  };
}

/** What a predictor says of its charges, for one that stands before it. */
export function chargesOf(predictor: Predictor): Pick<Predictor, "charged" | "price"> {
  return {
    charged: predictor.charged && (() => predictor.charged!()),
    price: predictor.price && ((rows) => predictor.price!(rows)),
  };
}

/** Adds an observer to a predictor; the times leave out the caller's work between two calls. */
export function timedPredictor(predictor: Predictor, observer: PredictorObserver): Predictor {
  const timed = callTimer(predictor);
  return {
    ...chargesOf(predictor),
    async predict(inputs) {
      const { result, time } = await timed(() => predictor.predict(inputs));
      observer.predicted(result, time);
      return result;
    },
    openCanvas: predictor.openCanvas && (async (sequences) => {
      const canvas = await predictor.openCanvas!(sequences);
      const run: Canvas["run"] = async (steps, signal) => {
        const { result, time } = await timed(() => canvas.run(steps, signal));
        if (result.length > 0) observer.ran(steps.slice(0, result.length), time);
        return result;
      };
      const predict: Canvas["predict"] = async (asked, cache) => {
        const { result, time } = await timed(() => canvas.predict(asked, cache));
        observer.predicted(result, time, cache);
        return result;
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
