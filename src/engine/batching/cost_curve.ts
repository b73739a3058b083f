/** What a forward pass costs by its rows, learnt from passes as they run. */

import { middle, Recent } from "../../denoise/auto/recent_costs.ts";

/** A measured pass. */
export interface MeasuredPass {
  readonly rows: number;
  readonly milliseconds: number;
}

/** Measurements kept for each size. */
const KEPT = 15;
/** Sizes of one doubling of rows whose measurements are kept apart. */
const SIZES_PER_DOUBLING = 4;
/**
 * Rows that take as long as what every pass takes whatever its rows, until passes of two sizes tell
 * more: a first guess, between a GPU that reads all weights and a CPU that computes for every row.
 */
const FIXED_ROWS = 64;
/**
 * Beyond the largest pass measured, a row costs at least this share of what it cost on average
 * there. Where no pass was yet so large that rows count, they would otherwise look free for ever.
 */
const LEAST_GROWTH = 1 / 8;
/** Budgets are at most this many times the largest size that was measured, which so is measured. */
const EXPLORED = 2;
/**
 * One pass in so many may be so many times as large as the budget says: noise among sizes that are
 * near each other can make rows look dear, and then larger passes would never be measured.
 */
const TRIAL = { every: 8, times: 4 } as const;
/** Rows of the passes that are worth measuring when a model is loaded, as far as time allows. */
export const START_ROWS: readonly number[] = [1, 32, 128, 512];

/** Shares up to which a pass is hardly longer, and a row nearly as cheap. */
const HARDLY_LONGER = 0.05;
const NEARLY = 0.05;

/**
 * Milliseconds of a pass by its rows. With more rows a pass never gets cheaper, and a row never
 * dearer: where measurements say otherwise, they are levelled. Each size is known by a low median
 * of its last passes, since other work on the machine makes some passes too long and none too
 * short.
 *
 * Only rows count, not the keys that they see. Every row of a sequence sees all its keys, whether
 * they were kept or are made in the same pass, so a pass that refreshes costs as much a row as one
 * against kept keys; a step costs less because it has fewer rows. Among sequences of unequal length
 * the costs of a row differ by attention alone: of an 8B model at 512 keys, 2% of the operations,
 * and at 4096 keys, 12%.
 */
export class CostCurve {
  readonly #measured = new Recent<MeasuredPass>(KEPT);
  /** Passes that were learnt. */
  #count = 0;
  #knots: readonly MeasuredPass[] = [];
  readonly #budgets = new Map<string, number>();

  /** A curve through given points. */
  static from(points: readonly MeasuredPass[]): CostCurve {
    const curve = new CostCurve();
    for (const { rows, milliseconds } of points) curve.learn(rows, milliseconds);
    curve.#count = 0;
    return curve;
  }

  /** Adds a measured pass; one without rows or time is ignored. */
  learn(rows: number, milliseconds: number): void {
    if (!(rows > 0 && milliseconds > 0 && Number.isFinite(rows + milliseconds))) return;
    const size = Math.round(SIZES_PER_DOUBLING * Math.log2(rows));
    this.#measured.add(`${size}`, { rows, milliseconds });
    this.#count++;
    this.#budgets.clear();
    this.#knots = levelled(this.#measured.names.map((name) => this.#measured.of(name)));
  }

  /** Number of sizes that were measured. */
  get sizes(): number {
    return this.#knots.length;
  }

  /**
   * Milliseconds of a pass of some rows. Before anything was measured the unit is that of
   * {@linkcode FIXED_ROWS}; only ratios mean something then.
   */
  cost(rows: number): number {
    return costOf(this.#knots, rows);
  }

  /**
   * The fewest rows at which a row costs at most `dearer` more than at the best size, and as many
   * more as make the pass hardly longer. With fewer, a pass wastes what all rows share; more mainly
   * make it longer. At most twice the largest size that was measured; now and then more, to
   * measure it.
   * @param most rows that a pass may have
   * @param dearer a share, such as 0.1
   */
  budget(most: number, dearer: number): number {
    const name = `${most} ${dearer}`;
    const kept = this.#budgets.get(name);
    if (kept !== undefined) return kept;
    const { knots, largest } = this.#quickest();
    const tried = Math.max(1, Math.min(most, EXPLORED * largest));
    const sizes: number[] = [];
    for (let rows = 1; rows < tried; rows += 1 + (rows >> 5)) sizes.push(rows);
    sizes.push(tried);
    const costs = sizes.map((rows) => costOf(knots, rows));
    const best = costs.reduce((least, cost, i) => Math.min(least, cost / sizes[i]), Infinity);
    const enough = costs.findIndex((cost, i) => cost / sizes[i] <= best * (1 + dearer));
    const longest = costs[enough] * (1 + HARDLY_LONGER);
    const full = sizes[costs.findLastIndex((cost, i) => i <= enough || cost <= longest)];
    // Of passes smaller than any that was measured nothing is known.
    const filled = Math.max(full, Math.min(most, Math.ceil(knots[0]?.rows ?? 1)));
    const trial = this.#count > 0 && this.#count % TRIAL.every === 0;
    const budget = trial ? Math.min(most, filled * TRIAL.times) : filled;
    this.#budgets.set(name, budget);
    return budget;
  }

  /** The points between which the curve is straight, to be kept and given to `from`. */
  toJSON(): readonly MeasuredPass[] {
    return this.#knots;
  }

  /**
   * What budgets go by: of each size the quickest of its last passes. A size at which a row seems
   * much dearer than at a smaller one was disturbed, or measured while the machine was busier, and
   * does not count.
   */
  #quickest(): { readonly knots: readonly MeasuredPass[]; readonly largest: number } {
    const quickest = this.#measured.names.map((name) =>
      this.#measured.of(name).reduce((a, b) => b.milliseconds < a.milliseconds ? b : a)
    ).sort((a, b) => a.rows - b.rows);
    let price = Infinity;
    const cheap = quickest.flatMap(({ rows, milliseconds }) => {
      const counts = milliseconds / rows <= price * (1 + NEARLY);
      price = Math.min(price, milliseconds / rows);
      return counts ? { rows, milliseconds: price * rows } : [];
    });
    let longest = Infinity;
    const knots = cheap.toReversed().map(({ rows, milliseconds }) => {
      longest = Math.min(longest, milliseconds);
      return { rows, milliseconds: longest };
    }).reverse();
    return { knots, largest: quickest.at(-1)?.rows ?? Infinity };
  }
}

/**
 * Milliseconds of a shared pass that one request answers for: an equal part of what the pass costs
 * whatever its rows, and of the rest a part by rows. The charges of all requests are the whole cost.
 * So rows are cheap while a request is alone on a GPU, and dear in a full pass.
 * @param rows of the request
 * @param allRows of the pass
 * @param requests that share the pass
 */
export function chargedCost(
  curve: CostCurve,
  rows: number,
  allRows: number,
  requests: number,
): number {
  const fixed = curve.cost(1);
  return fixed / requests + (curve.cost(allRows) - fixed) * rows / allRows;
}

/** One point a size, rows ascending; times do not fall, and times by rows do not rise. */
function levelled(sizes: readonly (readonly MeasuredPass[])[]): readonly MeasuredPass[] {
  const points = sizes.map((passes) => {
    const milliseconds = middle(passes.map((pass) => pass.milliseconds))!;
    const { rows } = passes.findLast((pass) => pass.milliseconds === milliseconds)!;
    return { rows, milliseconds, weight: passes.length };
  }).sort((a, b) => a.rows - b.rows);
  const weights = points.map(({ weight }) => weight);
  const falling = pooled(points.map(({ rows, milliseconds }) => -milliseconds / rows), weights);
  const times = pooled(falling.map((price, i) => -price * points[i].rows), weights);
  return points.map(({ rows }, i) => ({ rows, milliseconds: times[i] }));
}

/** Values that do not fall: those that do are set to their weighted mean (pool adjacent violators). */
function pooled(values: readonly number[], weights: readonly number[]): number[] {
  const pools: { mean: number; weight: number; count: number }[] = [];
  for (const [i, value] of values.entries()) {
    let pool = { mean: value, weight: weights[i], count: 1 };
    while (pools.length > 0 && pools[pools.length - 1].mean > pool.mean) {
      const before = pools.pop()!;
      const weight = before.weight + pool.weight;
      const mean = (before.mean * before.weight + pool.mean * pool.weight) / weight;
      pool = { mean, weight, count: before.count + pool.count };
    }
    pools.push(pool);
  }
  return pools.flatMap(({ mean, count }) => new Array<number>(count).fill(mean));
}

/** Milliseconds on the curve through some points. */
function costOf(knots: readonly MeasuredPass[], rows: number): number {
  if (knots.length === 0) return rows + FIXED_ROWS;
  const [first] = knots;
  const last = knots[knots.length - 1];
  if (rows < first.rows) {
    // No dearer than the first point, and no cheaper than in proportion.
    const to = knots.find((knot) => knot.rows >= 2 * first.rows);
    const line = to ? between(first, to, rows) : guessed(first, rows);
    return Math.min(first.milliseconds, Math.max(first.milliseconds * rows / first.rows, line));
  }
  if (rows <= last.rows) {
    const above = knots.findIndex((knot) => knot.rows >= rows);
    return above === 0 ? first.milliseconds : between(knots[above - 1], knots[above], rows);
  }
  // It rises as it did over the last doubling, at most in proportion.
  const from = knots.findLast((knot) => knot.rows <= last.rows / 2);
  if (!from) return guessed(last, rows);
  const average = last.milliseconds / last.rows;
  const growth = Math.min(average, Math.max(average * LEAST_GROWTH, slope(from, last)));
  return last.milliseconds + growth * (rows - last.rows);
}

/** By one point, where others are too near for their slope to mean anything. */
function guessed({ rows: measured, milliseconds }: MeasuredPass, rows: number): number {
  return milliseconds * (rows + FIXED_ROWS) / (measured + FIXED_ROWS);
}

/** On the line through two points. */
function between(low: MeasuredPass, high: MeasuredPass, rows: number): number {
  return low.milliseconds + slope(low, high) * (rows - low.rows);
}

function slope(low: MeasuredPass, high: MeasuredPass): number {
  return (high.milliseconds - low.milliseconds) / (high.rows - low.rows);
}
