/** Times the step of a block whose other keys and values are kept. */

import { type CanvasStep, GREEDY } from "../denoise/predictor.ts";
import { BY_CONFIDENCE } from "../denoise/selection.ts";
import type { Model } from "../model/model.ts";
import { type MedianTime, medianTime } from "./model.ts";

/** Steps between two readbacks: the default of `denoise`. */
export const CHAINED_STEPS = 4;

/**
 * Measures the median time of a denoising step as a canvas takes it with the dual cache: a block of
 * masked rows, in the middle of a sequence whose keys and values are kept. Four steps are read back
 * together, and each commits a token.
 * @param size.keys positions of the sequence, at least the rows and one more
 * @param until as for `medianTime`
 */
export async function timeBlockStep(
  model: Model,
  { rows, keys }: { readonly rows: number; readonly keys: number },
  until?: number,
): Promise<MedianTime> {
  const { maskTokenId: maskToken, embeddingSize } = model.config;
  // As many masked rows follow the block, if there is room.
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
    const time = await medianTime(async () => {
      // The block is masked again, so that every run predicts at all of its rows.
      canvas.setIds(0, ids);
      await canvas.run(steps);
    }, until);
    return { ...time, milliseconds: time.milliseconds / CHAINED_STEPS };
  } finally {
    canvas.destroy();
  }
}
