/** The order of a run's steps, and how many of them may be guessed together. */

import { blockStep, givesUp, masksLeft, type PassOptions, repeatsBlocks } from "./block_steps.ts";
import { canvasStep } from "../denoise.ts";
import type { CanvasStep, Commit } from "../predictor.ts";
import { type PlannedStep, planSteps } from "../schedule.ts";
import { generationLength, type Sequence } from "../sequence.ts";

/** The steps of one answer, in order; it advances with every step taken. */
export interface StepCourse {
  /** Index of the next step, from 0. */
  readonly step: number;
  /** Index of the next step's block, from 0. */
  readonly block: number;
  /** Whether all steps that were asked for are taken. */
  readonly isOver: boolean;
  /**
   * The next step and the steps after it that one pass may verify, at most `most` in all. With a
   * cache, none of the steps after the next one refreshes it or begins a block.
   */
  ahead(state: Sequence, most: number): CanvasStep[];
  /** End of the candidates of the step that is `i` steps after the next one. */
  candidateEnd(i: number): number;
  /** Advances past the next step, which made these commits. */
  advance(commits: readonly Commit[], state: Sequence): void;
}

/** @throws {ScheduleError} when length, blocks and steps do not fit together */
export function startStepCourse(sequence: Sequence, options: PassOptions): StepCourse {
  const { blockLength, steps } = options;
  const plan = planSteps({ genLength: generationLength(sequence), blockLength, steps });
  return repeatsBlocks(sequence, options)
    ? repeatedBlocks(sequence, plan, options)
    : plainSchedule(sequence, plan, options);
}

/** The plain schedule from step `from` up to `until`; guesses may go beyond `until`. */
function plainSchedule(
  { promptLength }: Sequence,
  plan: readonly PlannedStep[],
  options: PassOptions,
): StepCourse {
  const { from = 0, until = plan.length } = options;
  const schedule = plan.map((planned, i) => canvasStep(planned, i, promptLength, options));
  let step = from;
  return {
    get step() {
      return step;
    },
    get block() {
      return plan[step].block;
    },
    get isOver() {
      return step >= until;
    },
    ahead: (_state, most) => schedule.slice(step, step + most),
    candidateEnd: (i) => schedule[Math.min(schedule.length - 1, step + i)].blockEnd,
    advance: () => void step++,
  };
}

/** Repeats each block until it holds no mask, like `denoiseBlocks`. */
function repeatedBlocks(
  sequence: Sequence,
  plan: readonly PlannedStep[],
  options: PassOptions,
): StepCourse {
  const { blockLength } = options;
  const blocks = generationLength(sequence) / blockLength;
  const { promptLength } = sequence;
  let block = -1;
  let stepInBlock = 0;
  let step = 0;
  const enter = (state: Sequence) => {
    do block++; while (block < blocks && masksLeft(state, block, blockLength) === 0);
    stepInBlock = 0;
  };
  const schedule = () => plan.filter((planned) => planned.block === block);
  enter(sequence);
  return {
    get step() {
      return step;
    },
    get block() {
      return block;
    },
    get isOver() {
      return block >= blocks;
    },
    ahead(state, most) {
      const planned = schedule();
      const steps: CanvasStep[] = [];
      let left = masksLeft(state, block, blockLength);
      for (let i = 0; i < most; i++) {
        const at = { step: step + i, stepInBlock: stepInBlock + i };
        const next = blockStep(state, planned, at, options);
        const goesOn = left > 0 && at.stepInBlock < planned.length && next.cache !== "refresh";
        if (i > 0 && !goesOn) break;
        steps.push(next);
        left -= next.commits;
      }
      return steps;
    },
    candidateEnd: () => promptLength + (block + 1) * blockLength,
    advance(commits, state) {
      const over = masksLeft(state, block, blockLength) === 0 ||
        givesUp(schedule(), stepInBlock, commits, state.maskToken);
      step++;
      stepInBlock++;
      if (over) enter(state);
    },
  };
}
