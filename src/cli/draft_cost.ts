/** What a pass of a draft costs beside its target's, by multiplications and by the clock. */

import { GREEDY } from "../denoise/predictor.ts";
import { newSequence } from "../denoise/sequence.ts";
import { type AnswerOptions, DEPTHS, type RoundCount } from "../evaluate/draft_acceptance.ts";
import type { Model } from "../model/model.ts";
import { passShare } from "../model/pass_cost.ts";

/** Rounds of timing go on for this time, and are at least so many. */
const TIMED_MILLISECONDS = 1500;
const LEAST_ROUNDS = 5;

/** Measured and counted cost of passes over one answer's canvas, with their readback. */
export interface DraftCost {
  /** Share of a target's pass in multiplications, the head counted. */
  readonly multiplications: number;
  /** Share of a target's pass in time. */
  readonly time: number;
  /** Milliseconds of a pass of the draft over one state. */
  readonly draftMilliseconds: number;
  /** Milliseconds of a pass of the target, by the number of states that it sees at once. */
  readonly targetMilliseconds: readonly {
    readonly states: number;
    readonly milliseconds: number;
  }[];
}

/**
 * Times a draft and its target on a fresh canvas, in turn.
 * @param rounds whether also with as many states as rounds of `lossless` verify
 */
export async function measureCost(
  target: Model,
  draft: Model,
  prompt: Uint32Array,
  { genLength, blockLength, maskTokenId }: AnswerOptions,
  rounds: boolean,
): Promise<DraftCost> {
  const { ids } = newSequence(prompt, genLength, maskTokenId);
  const positions = Uint32Array.from({ length: blockLength }, (_, i) => prompt.length + i);
  const input = { ids, positions, choice: GREEDY };
  const states = [1, ...rounds ? DEPTHS.map((depth) => depth + 1) : []];
  const [drafted, ...verified] = await fastestTimes([
    () => draft.predict([input]),
    ...states.map((count) => () => target.predict(Array(count).fill(input))),
  ]);
  return {
    multiplications: passShare(draft.config, target.config),
    time: drafted / verified[0],
    draftMilliseconds: drafted,
    targetMilliseconds: states.map((count, i) => ({ states: count, milliseconds: verified[i] })),
  };
}

/**
 * The fastest time of each of some runs, in milliseconds. They take turns, after one of each that warms
 * up: what else the machine does only ever makes a run slower.
 */
async function fastestTimes(runs: readonly (() => Promise<unknown>)[]): Promise<number[]> {
  for (const run of runs) await run();
  const fastest = runs.map(() => Infinity);
  const until = performance.now() + TIMED_MILLISECONDS;
  for (let round = 0; round < LEAST_ROUNDS || performance.now() < until; round++) {
    for (const [i, run] of runs.entries()) {
      const start = performance.now();
      await run();
      fastest[i] = Math.min(fastest[i], performance.now() - start);
    }
  }
  return fastest;
}

/**
 * Speed of a strategy by these costs, as a multiple of one pass of the target over one state for every
 * step. A pass over a number of states that was not timed takes what lies between its neighbours.
 * @param tokensPerStep of the target alone
 */
export function expectedSpeed(
  { rounds, committed, draftPasses, targetStates }: RoundCount,
  { draftMilliseconds, targetMilliseconds }: DraftCost,
  tokensPerStep: number,
): number {
  const [one] = targetMilliseconds;
  const round = draftPasses / rounds * draftMilliseconds +
    between(targetMilliseconds, targetStates / rounds);
  return (committed / rounds) / (round / one.milliseconds) / tokensPerStep;
}

function between(times: DraftCost["targetMilliseconds"], states: number): number {
  const timed = times.findIndex((time) => time.states >= states);
  // Beyond the last one the line goes on.
  const above = timed < 0 ? times.length - 1 : Math.max(1, timed);
  const [low, high] = [times[above - 1], times[above]];
  const share = (states - low.states) / (high.states - low.states);
  return low.milliseconds + share * (high.milliseconds - low.milliseconds);
}
