/** What shared passes cost, as they are measured, and who pays for them. */

import type { PassJob } from "../../model/batch/pass_job.ts";
import { chargedCost, CostCurve } from "./cost_curve.ts";
import type { PassModel } from "./policy.ts";

/** Share of a new measurement in the mean of the turnaround. */
const NEW_SHARE = 1 / 8;

type Jobs = readonly PassJob<unknown>[];

/** The costs of both models' passes. */
export class PassCosts {
  /** Milliseconds of a pass by its rows. */
  readonly curves = { target: new CostCurve(), draft: new CostCurve() };
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
    this.curves[model].learn(rowsOf(jobs), milliseconds / ran);
  }

  /** Learns how long a call has waited for a pass and had it. */
  learnTurnaround(milliseconds: number): void {
    const before = this.#turnaround || milliseconds;
    this.#turnaround = before + (milliseconds - before) * NEW_SHARE;
  }

  /** Milliseconds that a job pays of a run. */
  charge(model: PassModel, job: PassJob<unknown>, jobs: Jobs, passes: number): number {
    let sum = 0;
    for (let pass = 0; pass < Math.min(passes, job.passes); pass++) {
      const within = jobs.filter((other) => other.passes > pass);
      sum += chargedCost(this.curves[model], job.rows, rowsOf(within), within.length);
    }
    return sum;
  }
}

/** Rows of jobs together. */
export function rowsOf(jobs: Jobs): number {
  return jobs.reduce((sum, job) => sum + job.rows, 0);
}
