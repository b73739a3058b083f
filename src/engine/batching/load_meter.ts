/** Counts what requests share. */

import type { PagePool } from "../../model/batch/pass_job.ts";
import { type LoadFigures, NO_LOAD } from "../load_figures.ts";
import type { PassCall } from "./call.ts";
import { jobsByPass, rowsOf } from "./pass_costs.ts";
import type { PassModel } from "./policy.ts";

/** The figures of a scheduler that are sums. */
export class LoadMeter {
  #sums: LoadFigures = NO_LOAD;
  readonly #began: number;

  /** @param began milliseconds at which counting begins */
  constructor(began: number) {
    this.#began = began;
  }

  /** Counts a run of jobs. @param passes that they had at most */
  ran(model: PassModel, jobs: readonly PassCall["job"][], passes: number, ms: number): void {
    const ran = jobsByPass(jobs, passes);
    const count = ran.length;
    const requests = ran.reduce((sum, within) => sum + within.length, 0);
    const rows = ran.reduce((sum, within) => sum + rowsOf(within), 0);
    const most = Math.max(0, ...ran.map((within) => within.length));
    const sums = this.#sums;
    this.#sums = {
      ...sums,
      gpuSeconds: sums.gpuSeconds + ms / 1000,
      mostRequests: Math.max(sums.mostRequests, most),
      ...model === "target"
        ? {
          passes: sums.passes + count,
          passRequests: sums.passRequests + requests,
          passRows: sums.passRows + rows,
        }
        : {
          draftPasses: sums.draftPasses + count,
          draftRequests: sums.draftRequests + requests,
          draftRows: sums.draftRows + rows,
        },
    };
  }

  /** Counts work that used the GPU without sharing it. */
  ranAlone(ms: number): void {
    this.#sums = { ...this.#sums, gpuSeconds: this.#sums.gpuSeconds + ms / 1000 };
  }

  /** Counts tokens that a step has decided. */
  committed(tokens: number): void {
    this.#sums = { ...this.#sums, committed: this.#sums.committed + tokens };
  }

  /** Counts the proposals of an answer that ended. */
  proposed(drafted: number, accepted: number): void {
    const sums = this.#sums;
    this.#sums = {
      ...sums,
      drafted: sums.drafted + drafted,
      accepted: sums.accepted + accepted,
    };
  }

  /** The figures now. */
  figures(
    now: number,
    pages: PagePool,
    requests: Pick<LoadFigures, "waiting" | "running" | "places" | "answersPerSecond">,
  ): LoadFigures {
    const { total, free, shared } = pages;
    return {
      ...this.#sums,
      ...requests,
      pages: { total, used: total - free, shared },
      seconds: (now - this.#began) / 1000,
    };
  }
}
