/** Passes that are timed before requests come, so that the first of them share passes as later ones do. */

import { GREEDY, type Predictor } from "../../denoise/predictor.ts";
import type { ModelFacts } from "../loaded_model.ts";
import { START_ROWS } from "./cost_curve.ts";

/** Milliseconds of a pass beyond which larger ones are not tried: they are learnt from requests. */
const LONGEST_PASS = 75;
/** Passes of each size. The first compiles its kernels, and the shortest is what counts. */
const PASSES_EACH = 3;

/**
 * Runs passes of some sizes, smallest first. Their costs are learnt by the scheduler, as those of all
 * passes.
 * @param predictor of a lane of low priority: requests that come meanwhile go first
 */
export async function timeFirstPasses(
  predictor: Pick<Predictor, "predict">,
  { contextLength, maskTokenId }: Pick<ModelFacts, "contextLength" | "maskTokenId">,
  now: () => number = () => performance.now(),
): Promise<void> {
  for (const rows of START_ROWS) {
    if (rows > contextLength) return;
    const ids = new Uint32Array(rows).fill(maskTokenId);
    const input = { ids, positions: Uint32Array.of(0), choice: GREEDY };
    let shortest = Infinity;
    for (let pass = 0; pass < PASSES_EACH; pass++) {
      const start = now();
      await predictor.predict([input]);
      shortest = Math.min(shortest, now() - start);
    }
    if (shortest > LONGEST_PASS) return;
  }
}
