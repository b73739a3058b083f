/** Finds the fastest tiling of a matrix on a device by timing all tilings in turn. */

import type { Gpu } from "../../gpu/device.ts";
import { type TilePlan, tilePlans } from "../../kernels/weight_matrix.ts";
import { isFaster, mostPromising, quantile, type RoundTimes, timeRatios } from "./tile_choice.ts";
import { TileTimer } from "./tile_timing.ts";
import { fixedPlan, outputsOf, type TiledMatrix } from "./tiled_matrix.ts";

/** Default numbers of rows to time: a block of 32, and a prompt with its answer. */
export const TUNED_ROWS: readonly number[] = [32, 128];

/** Rounds in which all tilings are timed, to pick a candidate. */
const HEATS = 5;
/** Rounds of the candidate against the fixed rule, which decide. */
const FINALS = 12;

/** Most that products may differ, root mean square over their own: f16 sums in another order. */
const MOST_DIFFERENCE = 5e-3;

/** What tuning a matrix came to. */
export interface TunedMatrix {
  readonly matrix: TiledMatrix;
  /** The tiling by the fixed rule. */
  readonly fixed: TilePlan;
  /** The fastest tiling of the first rounds. */
  readonly best: TilePlan;
  /** `best` if it also won the last rounds, else `fixed`. */
  readonly chosen: TilePlan;
  /** Number of tilings that were timed. */
  readonly tried: number;
  /** Tilings that compute something else than the fixed rule on this device: they are left out. */
  readonly wrong: number;
  /** Outputs that were timed, of {@linkcode outputsOf}. */
  readonly outputs: number;
  readonly rows: readonly number[];
  /** Rates of `fixed`: medians of the last rounds, for each number of rows. */
  readonly fixedGflopPerSecond: readonly number[];
  /** Rates of `best`, likewise. */
  readonly bestGflopPerSecond: readonly number[];
  /** Quartiles of the ratio of `best`'s time to `fixed`'s in the last rounds. */
  readonly timeRatios: readonly [lower: number, median: number, upper: number];
}

/** Called with the amount that is done and the total. */
export type TuneProgress = (done: number, total: number) => void;

/**
 * Tunes one matrix. Tilings are timed in turn, round by round, because machines get faster and
 * slower over time. The best one must then beat the fixed rule in further rounds.
 * @throws {GpuError} when the device fails, or cannot hold the matrix
 */
export async function tuneMatrix(
  gpu: Gpu,
  matrix: TiledMatrix,
  rows: readonly number[] = TUNED_ROWS,
  onProgress: TuneProgress = () => {},
): Promise<TunedMatrix> {
  using timer = new TileTimer(gpu, matrix, Math.max(...rows));
  const fixed = fixedPlan(gpu, matrix);
  // Of tilings that the device makes in the same way, one is enough.
  const same = (plan: TilePlan) => timer.inStrips && plan.splits === 1 && !isSame(plan, fixed);
  const all = tilePlans(matrix.kernel, matrix.blocks, gpu.rowForm).filter((plan) => !same(plan));
  const total = all.length * (1 + HEATS) + 2 * FINALS;
  let done = 0;
  const advance = (steps = 1) => onProgress(done += steps, total);

  const plans: TilePlan[] = [];
  const expected = await productsOf(timer, fixed, rows);
  let wrong = 0;
  for (const plan of all) {
    if (isSame(plan, fixed)) plans.push(plan);
    else if (await acceptsAll(timer, plan, rows)) {
      if (agree(expected, await productsOf(timer, plan, rows))) plans.push(plan);
      else wrong++;
    }
    advance();
  }
  const race = async (racers: readonly TilePlan[], rounds: number): Promise<RoundTimes[]> => {
    const times: number[][][] = racers.map(() => []);
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < racers.length; turn++) {
        // The order rotates, so that every tiling is first equally often.
        const racer = (round + turn) % racers.length;
        const samples: number[] = [];
        for (const count of rows) samples.push(await timer.time(racers[racer], count));
        times[racer].push(samples);
        advance();
      }
    }
    return times;
  };

  await timeOnce(timer, fixed, rows);
  const heats = await race(plans, HEATS);
  const fixedAt = plans.findIndex((plan) => isSame(plan, fixed));
  const best = plans[mostPromising(heats, heats[fixedAt])];
  const unchanged = isSame(best, fixed);
  const [fixedTimes, bestTimes = fixedTimes] = await race(
    unchanged ? [fixed] : [fixed, best],
    FINALS,
  );
  advance(total - done);
  const ratios = timeRatios(bestTimes, fixedTimes);
  const rates = (times: RoundTimes) =>
    rows.map((count, i) =>
      timer.operations(count) / (1e6 * quantile(times.map((samples) => samples[i]), 0.5))
    );
  return {
    matrix,
    fixed,
    best,
    chosen: !unchanged && isFaster(bestTimes, fixedTimes) ? best : fixed,
    tried: plans.length,
    wrong,
    outputs: timer.outputs,
    rows,
    fixedGflopPerSecond: rates(fixedTimes),
    bestGflopPerSecond: rates(bestTimes),
    timeRatios: [quantile(ratios, 0.25), quantile(ratios, 0.5), quantile(ratios, 0.75)],
  };
}

/** Whether two plans are the same. */
export function isSame(a: TilePlan, b: TilePlan): boolean {
  return a.splits === b.splits && a.rowGroups === b.rowGroups;
}

/** Whether only a slice of the matrix was timed. */
export function isSlice({ matrix, outputs }: TunedMatrix): boolean {
  return outputs < outputsOf(matrix);
}

async function acceptsAll(timer: TileTimer, plan: TilePlan, rows: readonly number[]) {
  for (const count of rows) if (!await timer.accepts(plan, count)) return false;
  return true;
}

/** A tiling's products, by number of rows. */
async function productsOf(timer: TileTimer, plan: TilePlan, rows: readonly number[]) {
  const products: Float32Array[] = [];
  for (const count of rows) products.push(await timer.product(plan, count));
  return products;
}

/** Whether products are the same but for the order of their sums. */
export function agree(
  expected: readonly Float32Array[],
  found: readonly Float32Array[],
): boolean {
  return expected.every((values, i) => {
    let difference = 0;
    let size = 0;
    values.forEach((value, j) => {
      difference += (found[i][j] - value) ** 2;
      size += value ** 2;
    });
    return difference <= MOST_DIFFERENCE ** 2 * size;
  });
}

/** The fixed rule's times say how many products make a sample. */
async function timeOnce(timer: TileTimer, fixed: TilePlan, rows: readonly number[]) {
  for (const count of rows) await timer.time(fixed, count);
}
