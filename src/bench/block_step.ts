/** The step of a block whose other keys and values are kept, as it is timed. */

import { type CanvasStep, GREEDY } from "../denoise/predictor.ts";
import { BY_CONFIDENCE } from "../denoise/selection.ts";
import type { Model } from "../model/model.ts";
import type { TimedRun } from "./model.ts";

/** Steps between two readbacks: the default of `denoise`. */
export const CHAINED_STEPS = 4;

/** A canvas with kept keys and values, on which a block is denoised again and again. */
export interface BlockSteps extends Disposable {
  /** Takes {@linkcode CHAINED_STEPS} steps, each of which commits a token, and reads them back. */
  readonly run: TimedRun;
}

/**
 * Opens a canvas as a strategy with the dual cache does: a block of masked rows before as many masked
 * ones, if there is room, in a sequence whose keys and values are kept.
 * @param size.keys positions of the sequence, at least the rows and one more
 */
export async function openBlockSteps(
  model: Model,
  { rows, keys }: { readonly rows: number; readonly keys: number },
): Promise<BlockSteps> {
  const { maskTokenId: maskToken, embeddingSize } = model.config;
  const first = Math.max(1, keys - 2 * rows);
  const ids = Uint32Array.from(
    { length: keys },
    (_, i) => i < first ? (31 * i) % (embeddingSize - 1) : maskToken,
  );
  const canvas = await model.openCanvas([{ ids, promptLength: first, endTokens: [], maskToken }]);
  const end = first + rows;
  const step = (cache: CanvasStep["cache"], commits: number): CanvasStep => ({
    blockStart: first,
    blockEnd: end,
    commits,
    cache,
    remasking: BY_CONFIDENCE,
    choices: [GREEDY],
    stopAtEnd: false,
  });
  const steps = Array.from({ length: CHAINED_STEPS }, () => step({ first, end }, 1));
  try {
    await canvas.run([step("refresh", 0)]);
  } catch (error) {
    canvas.destroy();
    throw error;
  }
  return {
    run() {
      // The block is masked again, so that every run predicts at all of its rows.
      canvas.setIds(0, ids);
      return canvas.run(steps);
    },
    [Symbol.dispose]: () => canvas.destroy(),
  };
}
