/** Ways to serve many requests, which a simulated load compares. */

import {
  choosePass,
  graceUntil,
  type PassChoice,
  type PendingJob,
  type PolicyState,
} from "../../engine/batching/policy.ts";

/** A job as a way of serving sees it. */
export interface WaitingJob extends PendingJob {
  /** Jobs that its request had before it. */
  readonly index: number;
}

/** A way to serve. */
export interface Way {
  readonly name: string;
  /** Requests that run at once. */
  readonly running: number;
  choose(pending: readonly WaitingJob[], state: PolicyState, now: number): PassChoice;
  /** Until when the next pass is put off; see policy.ts. Absent: it never is. */
  readonly grace?: typeof graceUntil;
}

/** First come, first served: a request has the device to itself until it is answered. */
export const ONE_AT_A_TIME: Way = {
  name: "one at a time",
  running: 1,
  choose: ([{ model, passes }]) => ({ model, jobs: [0], passes }),
};

/** Jobs of a static batch, requests that run at once, and when a group is overdue. */
const STATIC = { batch: 8, running: 16, overdue: 50 } as const;

/**
 * Batches of requests that are equally far, as dlmserve has them (iOptimizeThings/dlmserve,
 * scheduler): those whose next job has the same index and model form a group, and a pass takes eight of one.
 * The group goes first with the highest score: its size, what its oldest job has waited in tenths
 * of a second, and 1000 if that is over 50 ms.
 */
export const STATIC_BATCHES: Way = {
  name: "static batches",
  running: STATIC.running,
  choose(pending, _state, now) {
    const groups = Map.groupBy(
      pending.keys(),
      (job) => `${pending[job].model} ${pending[job].index}`,
    );
    let best: { readonly score: number; readonly jobs: readonly number[] } | undefined;
    for (const jobs of groups.values()) {
      const age = now - Math.min(...jobs.map((job) => pending[job].since));
      const score = jobs.length + age / 100 + (age > STATIC.overdue ? 1000 : 0);
      if (!best || score > best.score) best = { score, jobs };
    }
    const jobs = best!.jobs.slice(0, STATIC.batch);
    return { model: pending[jobs[0]].model, jobs, passes: 1 };
  },
};

/** The server's own: requests join and leave between any two passes. */
export const SHARED_PASSES: Way = {
  name: "shared passes",
  running: 16,
  choose: choosePass,
  grace: graceUntil,
};

/** All, the server's own last. */
export const WAYS: readonly Way[] = [ONE_AT_A_TIME, STATIC_BATCHES, SHARED_PASSES];
