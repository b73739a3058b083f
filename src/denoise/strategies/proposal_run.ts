/** What the strategies with proposals share: states, questions to the target, and the count of it all. */

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

/** How often a block is proposed for. */
export interface RoundOptions extends DenoiseOptions {
  /** Rounds with proposals a block, at most; then the target finishes it alone. Default: no bound. */
  readonly rounds?: number;
}

/** What a finished answer cost and came to. */
export interface ProposalResult {
  readonly sequence: Sequence;
  /** Forward passes of the target, a batch counted once. */
  readonly targetForwards: number;
  /** States in those batches. */
  readonly targetStates: number;
  /** Forward passes of the draft. */
  readonly draftForwards: number;
  /** Steps (gate, commit_verify: tokens) proposed, round by round. */
  readonly proposed: readonly number[];
  /** Of those, accepted. */
  readonly accepted: readonly number[];
  /** Of which tokens, by depth, mask ratio and position. */
  readonly acceptance: AcceptanceTally;
  readonly readbacks: number;
  /** Forward passes on a canvas that found nothing left to do; in none of the other counts. */
  readonly idleForwards: number;
}

/** What a run of the target alone came to: nothing was proposed. */
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

/** A sequence with its unconditional twin, which follows the commits. */
export interface State {
  readonly sequence: Sequence;
  readonly unconditional: Sequence | undefined;
}

/** A sequence at its start. */
export function start(sequence: Sequence, { cfgScale = 0 }: DenoiseOptions): State {
  const unconditional = cfgScale === 0
    ? undefined
    : { ...sequence, ids: unconditionalIds(sequence) };
  return { sequence, unconditional };
}

/** The state behind some commits. */
export function commit({ sequence, unconditional }: State, commits: readonly Commit[]): State {
  return {
    sequence: applyCommits(sequence, commits),
    unconditional: unconditional && applyCommits(unconditional, commits),
  };
}

/**
 * What a model is asked about a state: its masks from the start of the step's candidates up to `end`,
 * with the noise of `step`.
 */
export function question(
  { sequence, unconditional }: State,
  step: CanvasStep,
  end: number,
  { cfgScale = 0 }: DenoiseOptions,
): ForwardInput {
  const { blockStart = 0, horizon } = step;
  return {
    ids: sequence.ids.subarray(0, horizon),
    attentionMask: sequence.attentionMask?.subarray(0, horizon),
    positions: maskedPositions(sequence, end).filter((position) => position >= blockStart),
    guidance: unconditional && { scale: cfgScale, unconditionalIds: unconditional.ids },
    choice: step.choices[0],
  };
}

/** What a step commits, given predictions at (at least) its candidates. */
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

/** One answer on its way: its state, and what it has cost so far. */
export class ProposalRun {
  readonly #target: Predictor;
  readonly #options: RoundOptions;
  #state: State;
  /** Keeps keys and values of the target; opened when a step first asks for it. */
  #canvas: Canvas | undefined;
  #targetForwards = 0;
  #targetStates = 0;
  #draftForwards = 0;
  #readbacks = 0;
  #idleForwards = 0;
  readonly #proposed: number[] = [];
  readonly #accepted: number[] = [];
  #acceptance = NO_ACCEPTANCE;
  /** Rounds with proposals, by block. */
  readonly #rounds = new Map<number, number>();

  /** @throws {RangeError} for options out of range, naming the option */
  constructor(sequence: Sequence, target: Predictor, options: RoundOptions) {
    checkBatch([sequence], options);
    checkCounts({ rounds: options.rounds });
    this.#target = target;
    this.#options = options;
    this.#state = start(sequence, options);
  }

  /** The state behind all commits so far. */
  get state(): State {
    return this.#state;
  }

  /** Forward passes of the target so far. */
  get targetForwards(): number {
    return this.#targetForwards;
  }

  /** Whether nothing more is wanted. */
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
   * One forward pass of the target over some states; `ends` as in {@linkcode question}. The steps have
   * one part of keys and values to run; a refresh is of one state.
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

  /** One forward pass of the target. */
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

  /** Frees what the target keeps. */
  close(): void {
    this.#canvas?.destroy();
  }

  /** The draft ran, `idle` times with nothing left to do. */
  countDraft(forwards: number, readbacks: number, idle = 0): void {
    this.#draftForwards += forwards;
    this.#readbacks += readbacks;
    this.#idleForwards += idle;
  }

  /** A round of proposals begins in this block. */
  spendRound(block: number): void {
    this.#rounds.set(block, (this.#rounds.get(block) ?? 0) + 1);
  }

  /** What a round came to; one of the target alone has no proposals. */
  countRound(proposed: number, accepted: number): void {
    this.#proposed.push(proposed);
    this.#accepted.push(accepted);
  }

  /** The target judged what was proposed for a round's step; see {@linkcode judgeProposals}. */
  judge(state: State, depth: number, proposals: readonly Commit[], own: readonly Commit[]): void {
    const judged = judgeProposals(state.sequence, depth, proposals, own);
    this.#acceptance = recordProposals(this.#acceptance, judged);
  }

  /** A denoising step was taken. */
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

  /** What it came to. */
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
