/** A device that requests share: toys whose passes are charged beside those of others. */

import type {
  Canvas,
  CanvasStep,
  ForwardInput,
  Prediction,
} from "../../../src/denoise/predictor.ts";
import type { Predictor } from "../../../src/denoise/predictor.ts";
import { hash, uniform } from "../../../src/denoise/noise.ts";
import { chargedCost, CostCurve } from "../../../src/engine/batching/cost_curve.ts";
import { RowPrice } from "../../../src/engine/batching/row_price.ts";
import { MASK, ToyCanvasModel } from "../toy_model.ts";

/** Bound by memory: a pass takes as long with 128 rows as with one, and twice that with 256. */
export const MEMORY_BOUND = CostCurve.from(
  [1, 16, 32, 64, 128, 256, 512, 1024, 2048].map((rows) => ({
    rows,
    milliseconds: Math.max(10, rows * 10 / 128),
  })),
);

/** The same for a model of a quarter of the size. */
export const QUARTER = CostCurve.from(
  MEMORY_BOUND.toJSON().map(({ rows, milliseconds }) => ({
    rows,
    milliseconds: milliseconds / 4,
  })),
);

/** A toy that is of one mind at most states: its proposals for the next steps are mostly right. */
export class SteadyToy extends ToyCanvasModel {
  /** @param wavers share of states and positions at which it changes its mind */
  constructor(readonly wavers: number, readonly salt = 0) {
    super();
  }

  override answer(input: ForwardInput): Prediction[] {
    const state = input.ids.reduce((state, id, i) => hash(state, i, id, this.salt), 1);
    const open = input.ids.filter((id) => id === MASK).length;
    return super.answer(input).map((prediction) => {
      const { position } = prediction;
      const wavers = uniform(hash(state, position, open, 1)) < this.wavers;
      return {
        ...prediction,
        token: (position + (wavers ? 1 : 0)) % 3,
        oddsAgainst: 1,
        uncertainty: 1,
        confidence: 0.5,
        logProbability: Math.log(0.5),
      };
    });
  }
}

/** What other requests have in every pass. */
export interface Others {
  readonly requests: number;
  readonly rows: number;
}

/** Nobody else. */
export const ALONE: Others = { requests: 0, rows: 0 };

/** One request's share of a device, where others come and go. */
export class SharedDevice {
  /** Others in each pass from now on. */
  others = ALONE;
  /** Milliseconds charged. */
  charged = 0;

  /** The predictor on this device; passes of both models are beside the same others. */
  place(toy: ToyCanvasModel, curve: CostCurve): Predictor {
    const prices = new RowPrice();
    let charged = 0;
    const pass = (rows: number) => {
      const all = rows + this.others.rows;
      const cost = chargedCost(curve, rows, all, 1 + this.others.requests);
      charged += cost;
      this.charged += cost;
      prices.shared(rows, all, 1 + this.others.requests);
    };
    const rowsOf = (length: number, cache: CanvasStep["cache"]) =>
      cache === undefined || cache === "refresh" ? length : cache.end - cache.first;
    return {
      charged: () => charged,
      price: (rows) => prices.of(curve, rows),
      async predict(inputs) {
        const answers = await toy.predict(inputs);
        pass(inputs.reduce((rows, { ids }) => rows + ids.length, 0));
        return answers;
      },
      async openCanvas(sequences) {
        const canvas = await toy.openCanvas(sequences);
        const { length } = sequences[0].ids;
        const run: Canvas["run"] = async (steps) => {
          const commits = await canvas.run(steps);
          for (const { cache } of steps) pass(rowsOf(length, cache));
          return commits;
        };
        const predict: Canvas["predict"] = async (asked, cache) => {
          const answers = await canvas.predict(asked, cache);
          pass(asked.length * rowsOf(length, cache));
          return answers;
        };
        return { ...canvas, run, predict };
      },
    };
  }
}
