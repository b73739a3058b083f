/** What a pass of a draft costs beside its target's, by multiplications and by the clock. */

import { medianTimes } from "../bench/model.ts";
import { GREEDY } from "../denoise/predictor.ts";
import { newSequence } from "../denoise/sequence.ts";
import { type AnswerOptions, DEPTHS, type RoundCount } from "../evaluate/draft_acceptance.ts";
import type { Model } from "../model/model.ts";
import { passShare } from "../model/pass_cost.ts";

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
  const [drafted, ...verified] = await medianTimes([
    () => draft.predict([input]),
    ...states.map((count) => () => target.predict(Array(count).fill(input))),
  ]);
  return {
    multiplications: passShare(draft.config, target.config),
    time: drafted.milliseconds / verified[0].milliseconds,
    draftMilliseconds: drafted.milliseconds,
    targetMilliseconds: states.map((count, i) => ({
      states: count,
      milliseconds: verified[i].milliseconds,
    })),
  };
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
  const above = Math.max(1, times.findIndex((time) => time.states >= states));
  const [low, high] = [times[above - 1], times[above]];
  const share = (states - low.states) / (high.states - low.states);
  return low.milliseconds + share * (high.milliseconds - low.milliseconds);
}
