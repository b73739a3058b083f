/** Loads a model in bounded time, with fewer layers where all of them would take too long. */

import type { WeightChoice } from "../model/memory/plan_request.ts";
import type { Model } from "../model/model.ts";
import type { ModelSource } from "./model_source.ts";
import type { Progress } from "./progress.ts";

/** Milliseconds of loading after which the rate is believed. */
const RATE_KNOWN = 2000;
/** Share of the allowed time that a second, shorter load is planned with. */
const CAUTION = 0.8;
/** Least layers from which the cost of one can be told. */
export const LEAST_LAYERS = 2;

/** A load that would have taken too long, and was given up. */
class SlowLoad extends Error {
  constructor(readonly bytesPerMillisecond: number, readonly milliseconds: number) {
    super(`loading would take about ${(milliseconds / 1000).toFixed(0)} s`);
  }
}

/** A model that was loaded, or why it was not. */
export type BoundedLoad =
  | { readonly model: Model; readonly layers: number; readonly seconds: number }
  | { readonly model: undefined; readonly reason: string };

/**
 * Loads a model. When the first seconds show that it would take longer than allowed, the load is given
 * up, and the source is loaded with as many layers as there is time for, if it can be.
 * @param options.layers layers to load; without `shorten` exactly as many
 * @throws as the source's load
 */
export async function loadWithin(
  source: ModelSource,
  choice: WeightChoice,
  { layers, shorten, seconds, report }: {
    readonly layers: number;
    readonly shorten: boolean;
    /** Seconds that it may take. */
    readonly seconds: number;
    readonly report: Progress;
  },
): Promise<BoundedLoad> {
  const start = performance.now();
  const left = () => 1000 * seconds - (performance.now() - start);
  const attempt = async (count: number): Promise<BoundedLoad> => {
    const begun = performance.now();
    const allowed = left();
    const model = await source.load(choice, count, (done, total) => {
      const elapsed = performance.now() - begun;
      const expected = elapsed * total / Math.max(1, done);
      if (elapsed > RATE_KNOWN && expected > allowed) throw new SlowLoad(done / elapsed, expected);
      report.update(done, total);
    });
    return { model, layers: count, seconds: (performance.now() - begun) / 1000 };
  };
  try {
    return await attempt(layers);
  } catch (error) {
    if (!(error instanceof SlowLoad)) throw error;
    const tooSlow = `${error.message}, and ${(left() / 1000).toFixed(0)} s are left for it`;
    if (!shorten || !source.shortens) return { model: undefined, reason: tooSlow };
    const fewer = await layersWithin(
      source,
      choice,
      layers,
      CAUTION * left() * error.bytesPerMillisecond,
    );
    if (fewer < LEAST_LAYERS) return { model: undefined, reason: tooSlow };
    try {
      return await attempt(fewer);
    } catch (again) {
      if (!(again instanceof SlowLoad)) throw again;
      return { model: undefined, reason: again.message };
    }
  }
}

/** The largest number of layers, fewer than `layers`, whose weights take at most so many bytes. */
async function layersWithin(
  source: ModelSource,
  choice: WeightChoice,
  layers: number,
  bytes: number,
): Promise<number> {
  const whole = (await source.plan(choice, layers)).weightBytes;
  const one = (await source.plan(choice, 1)).weightBytes;
  const each = (whole - one) / Math.max(1, layers - 1);
  return Math.min(layers - 1, Math.floor(1 + (bytes - one) / each));
}
