/** A predictor whose canvas takes only some steps itself. */

import { assert } from "@std/assert";
import type { Canvas, Predictor } from "../../src/denoise/predictor.ts";

/** The predictor with a canvas that has twins of these steps' policies alone, and counts its runs. */
export function someTwins(predictor: Predictor, hasTwin: Canvas["hasTwin"]) {
  const counts = { runs: 0, predicts: 0 };
  const limited: Predictor = {
    predict(inputs) {
      counts.predicts++;
      return predictor.predict(inputs);
    },
    async openCanvas(sequences) {
      const canvas = await predictor.openCanvas!(sequences);
      return {
        hasTwin,
        run(steps, signal) {
          assert(steps.every(hasTwin));
          counts.runs++;
          return canvas.run(steps, signal);
        },
        predict(asked, cache) {
          counts.predicts++;
          return canvas.predict(asked, cache);
        },
        setIds: (sequence, ids, unconditional) => canvas.setIds(sequence, ids, unconditional),
        destroy: () => canvas.destroy(),
      };
    },
  };
  return { predictor: limited, counts };
}
