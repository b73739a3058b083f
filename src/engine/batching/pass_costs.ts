/** What shared passes cost, as they are measured, and who pays for them. */

import type { PassJob } from "../../model/batch/pass_job.ts";
import { chargedCost, CostCurve } from "./cost_curve.ts";
import type { PassModel } from "./policy.ts";
import { type RowPrice, RowsOfRequests } from "./row_price.ts";

/** Share of a new measurement in the mean of the turnaround. */
const NEW_SHARE = 1 / 8;

type Jobs = readonly PassJob<unknown>[];

/** The costs of both models' passes. */
export class PassCosts {
  /** Milliseconds of a pass by its rows. */
  readonly curves = { target: new CostCurve(), draft: new CostCurve() };
  /** Rows of a request in the passes of each model. */
  readonly usual = { target: new RowsOfRequests(), draft: new RowsOfRequests() };
  #turnaround = 0;

  /** Milliseconds from asking for a pass to its result lately; 0 before the first. */
  get turnaround(): number {
    return this.#turnaround;
  }

  /**
   * Learns from a run, if all its passes had the same rows.
   * @param passes that each job ran at most
   */
  learn(model: PassModel, jobs: Jobs, passes: number, milliseconds: number): void {
    const ran = Math.min(passes, jobs[0].passes);
    if (!jobs.every((job) => Math.min(passes, job.passes) === ran)) return;
    // The rows of a job are those of its widest pass.
    if (ran > 1 && jobs.some(({ refreshes }) => refreshes)) return;
    this.curves[model].learn(rowsOf(jobs), milliseconds / ran);
  }

  /** Learns how long a call has waited for a pass and had it. */
  learnTurnaround(milliseconds: number): void {
    const before = this.#turnaround || milliseconds;
    this.#turnaround = before + (milliseconds - before) * NEW_SHARE;
  }

  /**
   * Divides the time of a run among its jobs.
   * @param prices of each job's request, which learn what else was in its passes
   * @returns milliseconds that each job pays, together `milliseconds`
   */
  charge(
    model: PassModel,
    jobs: Jobs,
    prices: readonly RowPrice[],
    passes: number,
    milliseconds: number,
  ): number[] {
    const curve = this.curves[model];
    const charges = jobs.map(() => 0);
    for (const within of jobsByPass(jobs, passes)) {
      const all = rowsOf(within);
      this.usual[model].ran(all, within.length);
      for (const [i, job] of jobs.entries()) {
        if (!within.includes(job)) continue;
        charges[i] += chargedCost(curve, job.rows, all, within.length);
        prices[i].shared(job.rows, all, within.length);
      }
    }
    const sum = charges.reduce((sum, charge) => sum + charge, 0);
    return charges.map((charge) => milliseconds * charge / sum);
  }
}

/** The jobs in each pass of a run. @param passes that each job has at most */
export function jobsByPass(jobs: Jobs, passes: number): Jobs[] {
  const most = Math.min(passes, Math.max(0, ...jobs.map((job) => job.passes)));
  return Array.from({ length: most }, (_, pass) => jobs.filter((job) => job.passes > pass));
}

/** Rows of jobs together. */
export function rowsOf(jobs: Jobs): number {
  return jobs.reduce((sum, job) => sum + job.rows, 0);
}
