/** Shared by the strategies with proposals: states, the target's inputs, and counts. */

import {
  type AcceptanceTally,
  judgeProposals,
  NO_ACCEPTANCE,
  recordProposals,
} from "./acceptance.ts";
import { checkCounts } from "../check_options.ts";
import type { StepCourse } from "./step_course.ts";
import { checkBatch } from "../denoise.ts";
import type { DenoiseOptions, DenoiseResult, DenoiseStep } from "../denoise_step.ts";
import type {
  Canvas,
  CanvasStep,
  Commit,
  ForwardInput,
  Prediction,
  Predictor,
} from "../predictor.ts";
import { sampledChoice } from "../sampling.ts";
import { selectCommits } from "../selection.ts";
import {
  applyCommits,
  decidedUpToEnd,
  firstVisible,
  maskedPositions,
  type Sequence,
  unconditionalIds,
} from "../sequence.ts";
import { canvasSequences, KEEPS_NOTHING } from "../step_runner.ts";

/** Options of rounds with proposals. */
export interface RoundOptions extends DenoiseOptions {
  /** Limit of rounds per block; then the target finishes the block alone. Default: no limit. */
  readonly rounds?: number;
}

/** Result and cost of a finished answer. */
export interface ProposalResult {
  readonly sequence: Sequence;
  /** Forward passes of the target, a batch counted once. */
  readonly targetForwards: number;
  /** States in those batches. */
  readonly targetStates: number;
  /** Forward passes of the draft. */
  readonly draftForwards: number;
  /** Steps (gate, commit_verify: tokens) proposed in each round. */
  readonly proposed: readonly number[];
  /** Proposals accepted in each round. */
  readonly accepted: readonly number[];
  /** Judged tokens by depth, mask ratio and position. */
  readonly acceptance: AcceptanceTally;
  readonly readbacks: number;
  /** Forward passes on a canvas after the work was done; the other counts leave them out. */
  readonly idleForwards: number;
}

/** Result of a run of the target alone, without proposals. */
export function withoutProposals(
  { sequences, nfe, readbacks, idleForwards = 0 }: DenoiseResult,
): ProposalResult {
  return {
    sequence: sequences[0],
    targetForwards: nfe,
    targetStates: nfe,
    draftForwards: 0,
    proposed: [],
    accepted: [],
    acceptance: NO_ACCEPTANCE,
    readbacks,
    idleForwards,
  };
}

/** A sequence with its unconditional twin, which gets the same commits. */
export interface State {
  readonly sequence: Sequence;
  readonly unconditional: Sequence | undefined;
}

/** The state of a sequence at its start. */
export function start(sequence: Sequence, { cfgScale = 0 }: DenoiseOptions): State {
  const unconditional = cfgScale === 0
    ? undefined
    : { ...sequence, ids: unconditionalIds(sequence) };
  return { sequence, unconditional };
}

/** The state after some commits. */
export function commit({ sequence, unconditional }: State, commits: readonly Commit[]): State {
  return {
    sequence: applyCommits(sequence, commits),
    unconditional: unconditional && applyCommits(unconditional, commits),
  };
}

/**
 * A model's input for a state: it predicts at the masks from the start of the step's candidates up
 * to `end`, with the noise of `step`.
 */
export function question(
  { sequence, unconditional }: State,
  step: CanvasStep,
  end: number,
  options: DenoiseOptions,
): ForwardInput {
  const { cfgScale = 0 } = options;
  const { blockStart = 0, horizon } = step;
  return {
    ids: sequence.ids.subarray(0, horizon),
    attentionMask: sequence.attentionMask?.subarray(0, horizon),
    positions: maskedPositions(sequence, end).filter((position) => position >= blockStart),
    guidance: unconditional && {
      scale: cfgScale,
      unconditionalIds: unconditional.ids.subarray(0, horizon),
    },
    choice: sampledChoice(step.choices[0], sequence, options),
  };
}

/** Selects a step's commits from predictions that include its candidates. */
export function select(
  predictions: readonly Prediction[],
  step: CanvasStep,
  { attentionMask }: Sequence,
): Commit[] {
  const { blockStart = 0, blockEnd } = step;
  const candidates = predictions.filter(({ position }) =>
    position >= blockStart && position < blockEnd
  );
  const { seed, step: index } = step.choices[0];
  const origin = firstVisible(attentionMask);
  const ranking = { remasking: step.remasking, seed, step: index, origin };
  return selectCommits(candidates, step.commits, ranking);
}

/** An answer being denoised: its state, and its cost so far. */
export class ProposalRun {
  readonly #target: Predictor;
  readonly #options: RoundOptions;
  #state: State;
  /** Canvas with the target's keys and values; opened when a step first needs it. */
  #canvas: Canvas | undefined;
  #targetForwards = 0;
  #targetStates = 0;
  #draftForwards = 0;
  #readbacks = 0;
  #idleForwards = 0;
  readonly #proposed: number[] = [];
  readonly #accepted: number[] = [];
  #acceptance = NO_ACCEPTANCE;
  /** Number of rounds with proposals, by block. */
  readonly #rounds = new Map<number, number>();

  /** @throws {RangeError} for options out of range, naming the option */
  constructor(sequence: Sequence, target: Predictor, options: RoundOptions) {
    checkBatch([sequence], options);
    checkCounts({ rounds: options.rounds });
    this.#target = target;
    this.#options = options;
    this.#state = start(sequence, options);
  }

  /** The state after all commits so far. */
  get state(): State {
    return this.#state;
  }

  /** Forward passes of the target so far. */
  get targetForwards(): number {
    return this.#targetForwards;
  }

  /** Whether the answer is finished. */
  isFinished(): boolean {
    const { finished, stopAtEnd, endTokens } = this.#options;
    return Boolean(finished?.()) ||
      (stopAtEnd && decidedUpToEnd(this.#state.sequence, endTokens));
  }

  /** Whether this block may have another round of proposals. */
  mayPropose(block: number): boolean {
    return (this.#rounds.get(block) ?? 0) < (this.#options.rounds ?? Infinity);
  }

  /**
   * Runs one forward pass of the target over some states; `ends` as in {@linkcode question}. All
   * steps must have the same `cache`, and a refresh takes one state.
   */
  async ask(
    states: readonly State[],
    steps: readonly CanvasStep[],
    ends: readonly number[],
  ): Promise<Prediction[][]> {
    const asked = states.map((state, i) => question(state, steps[i], ends[i], this.#options));
    const [{ cache }] = steps;
    if (cache === undefined) return await this.predict(asked);
    this.#canvas ??= await this.#openCanvas();
    this.#countTarget(asked.length);
    return await this.#canvas.predict(asked, cache);
  }

  /** Runs one forward pass of the target. */
  async predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]> {
    this.#countTarget(inputs.length);
    return await this.#target.predict(inputs);
  }

  #countTarget(states: number): void {
    this.#targetForwards++;
    this.#targetStates += states;
    this.#readbacks++;
  }

  #openCanvas(): Promise<Canvas> {
    const target = this.#target;
    if (!target.openCanvas) throw new RangeError(KEEPS_NOTHING);
    return target.openCanvas(canvasSequences([this.#state.sequence], this.#options));
  }

  /** Frees the target's canvas. */
  close(): void {
    this.#canvas?.destroy();
  }

  /** Counts passes of the draft; `idle` passes ran after the work was done. */
  countDraft(forwards: number, readbacks: number, idle = 0): void {
    this.#draftForwards += forwards;
    this.#readbacks += readbacks;
    this.#idleForwards += idle;
  }

  /** Counts a round of proposals that begins in a block. */
  spendRound(block: number): void {
    this.#rounds.set(block, (this.#rounds.get(block) ?? 0) + 1);
  }

  /** Counts the result of a round; one of the target alone has no proposals. */
  countRound(proposed: number, accepted: number): void {
    this.#proposed.push(proposed);
    this.#accepted.push(accepted);
  }

  /** Counts the judged proposals of a round's step; see {@linkcode judgeProposals}. */
  judge(state: State, depth: number, proposals: readonly Commit[], own: readonly Commit[]): void {
    const judged = judgeProposals(state.sequence, depth, proposals, own);
    this.#acceptance = recordProposals(this.#acceptance, judged);
  }

  /** Applies the commits of a denoising step. */
  commit(commits: readonly Commit[]): void {
    this.#state = commit(this.#state, commits);
  }

  /** Takes the course's next step. */
  take(
    course: StepCourse,
    commits: readonly Commit[],
    verdict: Pick<DenoiseStep, "proposed" | "rejected">,
  ): DenoiseStep {
    const { step, block } = course;
    this.commit(commits);
    course.advance(commits, this.#state.sequence);
    return { step, block, nfe: this.#targetForwards, commits: [commits], ...verdict };
  }

  /** The result of the run. */
  result(): ProposalResult {
    return {
      sequence: this.#state.sequence,
      targetForwards: this.#targetForwards,
      targetStates: this.#targetStates,
      draftForwards: this.#draftForwards,
      readbacks: this.#readbacks,
      proposed: this.#proposed,
      accepted: this.#accepted,
      acceptance: this.#acceptance,
      idleForwards: this.#idleForwards,
    };
  }
}
