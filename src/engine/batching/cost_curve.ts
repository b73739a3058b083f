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
/** Rows of the passes that are worth measuring when a model is loaded, as far as time allows. */
export const START_ROWS: readonly number[] = [1, 32, 128, 512];

/** The share by which a pass may be longer and count as hardly so. */
const HARDLY_LONGER = 0.05;

/**
 * Milliseconds of a pass by its rows. The curve rises with rows: where measurements do not, they
 * are levelled. Each size is known by a low median of its last passes, since other work on the
 * machine makes some passes too long and none too short.
 *
 * Only rows count, not the keys that they see. Every row of a sequence sees all its keys, whether
 * they were kept or are made in the same pass, so a pass that refreshes costs as much a row as one
 * against kept keys; a step costs less because it has fewer rows. Among sequences of unequal length
 * the costs of a row differ by attention alone: of an 8B model at 512 keys, 2% of the operations,
 * and at 4096 keys, 12%.
 */
export class CostCurve {
  readonly #measured = new Recent<MeasuredPass>(KEPT);
  #knots: readonly MeasuredPass[] = [];
  readonly #budgets = new Map<string, number>();

  /** A curve through given points, one measurement each. */
  static from(points: readonly MeasuredPass[]): CostCurve {
    const curve = new CostCurve();
    for (const { rows, milliseconds } of points) curve.learn(rows, milliseconds);
    return curve;
  }

  /** Adds a measured pass; one without rows or time is ignored. */
  learn(rows: number, milliseconds: number): void {
    if (!(rows > 0 && milliseconds > 0 && Number.isFinite(rows + milliseconds))) return;
    const size = Math.round(SIZES_PER_DOUBLING * Math.log2(rows));
    this.#measured.add(`${size}`, { rows, milliseconds });
    this.#budgets.clear();
    this.#knots = levelled(this.#measured);
  }

  /** Number of sizes that were measured. */
  get sizes(): number {
    return this.#knots.length;
  }

  /**
   * Milliseconds of a pass of some rows, never less than of one with fewer. Before anything was
   * measured the unit is that of {@linkcode FIXED_ROWS}; only ratios mean something then.
   */
  cost(rows: number): number {
    const knots = this.#knots;
    if (knots.length === 0) return rows + FIXED_ROWS;
    const [first] = knots;
    if (knots.length === 1) {
      return first.milliseconds * (rows + FIXED_ROWS) / (first.rows + FIXED_ROWS);
    }
    const above = knots.findIndex((knot) => knot.rows >= rows);
    if (above < 0) return beyond(knots, rows);
    if (above > 0) return between(knots[above - 1], knots[above], rows);
    // Fewer rows than were measured: no dearer, and no cheaper than in proportion.
    const line = between(first, knots[1], rows);
    return Math.max(first.milliseconds * rows / first.rows, line);
  }

  /**
   * The fewest rows at which a row costs at most `dearer` more than at the best size, and as many
   * more as make the pass hardly longer. With fewer, a pass wastes what all rows share; more mainly
   * make it longer.
   * @param most rows that a pass may have
   * @param dearer a share, such as 0.1
   */
  budget(most: number, dearer: number): number {
    const name = `${most} ${dearer}`;
    const known = this.#budgets.get(name);
    if (known !== undefined) return known;
    const sizes: number[] = [];
    for (let rows = 1; rows < most; rows += 1 + (rows >> 5)) sizes.push(rows);
    sizes.push(most);
    const costs = sizes.map((rows) => this.cost(rows) / rows);
    const best = costs.reduce((least, cost) => Math.min(least, cost));
    const enough = sizes[costs.findIndex((cost) => cost <= best * (1 + dearer))];
    const longest = this.cost(enough) * (1 + HARDLY_LONGER);
    const budget = sizes.findLast((rows) => rows <= enough || this.cost(rows) <= longest)!;
    this.#budgets.set(name, budget);
    return budget;
  }

  /** The points between which the curve is straight, to be kept and given to `from`. */
  toJSON(): readonly MeasuredPass[] {
    return this.#knots;
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

/** One point a size, rows ascending, times never falling. */
function levelled(measured: Recent<MeasuredPass>): readonly MeasuredPass[] {
  const points = measured.names.map((size) => {
    const passes = measured.of(size);
    const milliseconds = middle(passes.map((pass) => pass.milliseconds))!;
    const { rows } = passes.findLast((pass) => pass.milliseconds === milliseconds)!;
    return { rows, milliseconds, weight: passes.length };
  }).sort((a, b) => a.rows - b.rows);
  // Neighbours that fall are pooled at their mean (pool adjacent violators).
  const pools: { sum: number; weight: number; rows: number[] }[] = [];
  for (const { rows, milliseconds, weight } of points) {
    let pool = { sum: milliseconds * weight, weight, rows: [rows] };
    while (pools.length > 0 && meanOf(pools[pools.length - 1]) > meanOf(pool)) {
      const before = pools.pop()!;
      pool = {
        sum: before.sum + pool.sum,
        weight: before.weight + pool.weight,
        rows: [...before.rows, ...pool.rows],
      };
    }
    pools.push(pool);
  }
  return pools.flatMap((pool) => pool.rows.map((rows) => ({ rows, milliseconds: meanOf(pool) })));
}

function meanOf({ sum, weight }: { readonly sum: number; readonly weight: number }): number {
  return sum / weight;
}

/** On the line through two points. */
function between(low: MeasuredPass, high: MeasuredPass, rows: number): number {
  return low.milliseconds + slope(low, high) * (rows - low.rows);
}

function slope(low: MeasuredPass, high: MeasuredPass): number {
  return (high.milliseconds - low.milliseconds) / (high.rows - low.rows);
}

/** Beyond the last point the curve rises as it did over the last doubling, at most in proportion. */
function beyond(knots: readonly MeasuredPass[], rows: number): number {
  const last = knots[knots.length - 1];
  const from = knots.findLast((knot) => knot.rows <= last.rows / 2) ?? knots[0];
  const average = last.milliseconds / last.rows;
  const growth = Math.min(average, Math.max(average * LEAST_GROWTH, slope(from, last)));
  return last.milliseconds + growth * (rows - last.rows);
}
