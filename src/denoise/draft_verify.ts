/**
 * Strategies with proposals: a cheap guess at several denoising steps, and one forward pass of the
 * target over all the states guessed.
 *
 * LLaDA's logits at a decided position see that position's own token, so running the target once over
 * drafted text verifies nothing. What is run here are the intermediate, masked states.
 */

import {
  type AcceptanceTally,
  judgeProposals,
  NO_ACCEPTANCE,
  recordProposals,
} from "./acceptance.ts";
import { canvasStep, checkBatch, type DenoiseOptions, type DenoiseStep } from "./denoise.ts";
import type { CanvasStep, Commit, ForwardInput, Prediction, Predictor } from "./predictor.ts";
import { planSteps } from "./schedule.ts";
import { selectCommits } from "./selection.ts";
import {
  applyCommits,
  decidedUpToEnd,
  firstVisible,
  generationLength,
  maskedPositions,
  type Sequence,
  unconditionalIds,
} from "./sequence.ts";
import { openRunner } from "./step_runner.ts";

/** How many steps are guessed at. */
export interface ProposalOptions extends DenoiseOptions {
  /** Steps proposed a round, at most. */
  readonly depth: number;
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
  /** Steps proposed, round by round. */
  readonly proposed: readonly number[];
  /** Of those, accepted. */
  readonly accepted: readonly number[];
  /** Of which tokens, by depth, mask ratio and position. */
  readonly acceptance: AcceptanceTally;
  readonly readbacks: number;
}

/** A sequence with its unconditional twin, which follows the commits. */
export interface State {
  readonly sequence: Sequence;
  readonly unconditional: Sequence | undefined;
}

function checkProposals(sequence: Sequence, options: ProposalOptions): void {
  checkBatch([sequence], options);
  checkRounds(options.rounds);
  if (Number.isInteger(options.depth) && options.depth >= 1) return;
  throw new RangeError(`depth is ${options.depth}: expected a whole number above 0`);
}

/** @throws {RangeError} for a bound that lets no round happen */
export function checkRounds(rounds: number | undefined): void {
  if (rounds === undefined || (Number.isInteger(rounds) && rounds >= 1)) return;
  throw new RangeError(`rounds is ${rounds}: expected a whole number above 0`);
}

/** Counts the rounds of each block that proposed something. @returns whether a block may have more */
function roundsLeft(rounds = Infinity): { (block: number): boolean; spend(block: number): void } {
  const spent = new Map<number, number>();
  return Object.assign((block: number) => (spent.get(block) ?? 0) < rounds, {
    spend: (block: number) => void spent.set(block, (spent.get(block) ?? 0) + 1),
  });
}

/** The steps of the plain schedule as a canvas takes them. */
function scheduleOf(sequence: Sequence, options: DenoiseOptions): CanvasStep[] {
  const { blockLength, steps } = options;
  return planSteps({ genLength: generationLength(sequence), blockLength, steps })
    .map((planned, i) => canvasStep(planned, i, sequence.promptLength, options));
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

/** What the target is asked about a state: its masks up to `end`, with the noise of `step`. */
export function question(
  { sequence, unconditional }: State,
  step: CanvasStep,
  end: number,
  { cfgScale = 0 }: DenoiseOptions,
): ForwardInput {
  return {
    ids: sequence.ids,
    attentionMask: sequence.attentionMask,
    positions: maskedPositions(sequence, end),
    guidance: unconditional && { scale: cfgScale, unconditionalIds: unconditional.ids },
    choice: step.choices[0],
  };
}

/** What a step commits, given predictions at (at least) its candidates. */
function select(predictions: readonly Prediction[], step: CanvasStep, origin: number): Commit[] {
  const candidates = predictions.filter(({ position }) => position < step.blockEnd);
  const { seed, step: index } = step.choices[0];
  const ranking = { remasking: step.remasking, seed, step: index, origin };
  return selectCommits(candidates, step.commits, ranking);
}

function sameCommits(a: readonly Commit[], b: readonly Commit[]): boolean {
  return a.length === b.length &&
    a.every(({ position, token }, i) => position === b[i].position && token === b[i].token);
}

/**
 * What step `i` of a round tells of its guesses, of which the steps before `kept` held.
 * @param guesses by step of the round; a step that nobody guessed at has none
 */
function verdict(
  guesses: readonly (readonly Commit[])[],
  own: readonly Commit[],
  i: number,
  kept: number,
): Pick<DenoiseStep, "proposed" | "rejected"> {
  const proposed = i < kept ? guesses[i] : guesses.slice(i).flat();
  const held = (guess: Commit) =>
    guesses[i]?.includes(guess) && own.some((commit) => sameCommits([commit], [guess]));
  return { proposed, rejected: proposed.filter((guess) => !held(guess)) };
}

/**
 * `lossless`: the draft makes up to `depth` steps of the target's own schedule; the target runs once
 * over the state before them and every state between; the longest prefix of steps that the target would
 * have taken itself is kept, and its own step behind it. The result equals target-only denoising exactly
 * (greedy or with the same seed), since the target's bits do not depend on the batch.
 * @throws as `denoise`, and {@linkcode RangeError} for a depth below 1
 */
export async function* lossless(
  sequence: Sequence,
  target: Predictor,
  draft: Predictor,
  options: ProposalOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  const { signal, depth } = options;
  checkProposals(sequence, options);
  const schedule = scheduleOf(sequence, options);
  const blocks = blocksOf(sequence, options);
  const origin = firstVisible(sequence.attentionMask);
  let state = start(sequence, options);
  const { from = 0, until = schedule.length } = options;
  let t = from;
  const count = { targetForwards: 0, targetStates: 0, draftForwards: 0, readbacks: 0 };
  const proposed: number[] = [];
  const accepted: number[] = [];
  let acceptance = NO_ACCEPTANCE;
  const mayPropose = roundsLeft(options.rounds);
  const runner = await openRunner([sequence], draft, { ...options, stepsPerReadback: depth });
  const finished = () =>
    options.finished?.() ||
    (options.stopAtEnd && decidedUpToEnd(state.sequence, options.endTokens));
  try {
    while (t < until && !finished()) {
      signal?.throwIfAborted();
      const steps = schedule.slice(t, t + 1 + (mayPropose(blocks[t]) ? depth : 0));
      const drafted = steps.length - 1;
      if (drafted > 0) mayPropose.spend(blocks[t]);
      const proposals: Commit[][] = [];
      if (drafted > 0) {
        runner.setIds?.(0, state.sequence.ids, state.unconditional?.ids);
        const states = [state];
        for (let i = 0; i < drafted; i += runner.chunkLength) {
          const chunk = steps.slice(i, Math.min(drafted, i + runner.chunkLength))
            .map((step) => ({ ...step, stopAtEnd: false }));
          for (const commits of await runner.run(chunk, [states.at(-1)!.sequence])) {
            proposals.push(commits[0]);
            states.push(commit(states.at(-1)!, commits[0]));
          }
          count.readbacks++;
        }
        count.draftForwards += drafted;
      }
      const states = [state];
      for (const commits of proposals) states.push(commit(states.at(-1)!, commits));
      const answers = await target.predict(
        states.map((guess, i) => question(guess, steps[i], steps[i].blockEnd, options)),
      );
      count.targetForwards++;
      count.targetStates += states.length;
      count.readbacks++;
      const own = answers.map((predictions, i) => select(predictions, steps[i], origin));
      let kept = 0;
      while (kept < drafted && sameCommits(own[kept], proposals[kept])) kept++;
      proposed.push(drafted);
      accepted.push(kept);
      for (let i = 0; i <= Math.min(kept, drafted - 1); i++) {
        const judged = judgeProposals(states[i].sequence, i + 1, proposals[i], own[i]);
        acceptance = recordProposals(acceptance, judged);
      }
      for (let i = 0; i <= kept; i++) {
        signal?.throwIfAborted();
        state = commit(state, own[i]);
        yield {
          step: t,
          block: blocks[t],
          nfe: count.targetForwards,
          commits: [own[i]],
          ...verdict(proposals, own[i], i, kept),
        };
        t++;
        if (finished()) break;
      }
    }
  } finally {
    runner.close();
  }
  return { sequence: state.sequence, ...count, proposed, accepted, acceptance };
}

/**
 * `self`: no second model. The last forward pass of the target has a token and a confidence for every
 * mask; filling them in schedule order guesses the next `depth` states, the first of which is certain.
 * One pass over all of them says how far the guess was what the target does, and its logits at the
 * last right state start the next round (FreeDave, arXiv 2510.00294; SSD, arXiv 2510.04147; Spiffy,
 * arXiv 2509.18085). Equal to target-only denoising, as {@linkcode lossless}.
 * @throws as `denoise`, and {@linkcode RangeError} for a depth below 1
 */
export async function* selfDraft(
  sequence: Sequence,
  target: Predictor,
  options: ProposalOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  const { signal, depth } = options;
  checkProposals(sequence, options);
  const schedule = scheduleOf(sequence, options);
  const blocks = blocksOf(sequence, options);
  const origin = firstVisible(sequence.attentionMask);
  let state = start(sequence, options);
  const { from = 0, until = schedule.length } = options;
  let t = from;
  const count = { targetForwards: 0, targetStates: 0, draftForwards: 0, readbacks: 0 };
  const proposed: number[] = [];
  const accepted: number[] = [];
  let acceptance = NO_ACCEPTANCE;
  const mayPropose = roundsLeft(options.rounds);
  // Guesses may cross into the next block: its masks are asked about ahead of time.
  const lookahead = (step: number) =>
    schedule[Math.min(schedule.length - 1, step + depth)].blockEnd;
  const ask = async (states: readonly State[], first: number) => {
    count.targetForwards++;
    count.targetStates += states.length;
    count.readbacks++;
    return await target.predict(
      states.map((guess, i) => question(guess, schedule[first + i], lookahead(first + i), options)),
    );
  };
  const finished = () =>
    options.finished?.() ||
    (options.stopAtEnd && decidedUpToEnd(state.sequence, options.endTokens));

  signal?.throwIfAborted();
  if (t >= until || finished()) {
    return { sequence, ...count, proposed, accepted, acceptance };
  }
  let [predictions] = await ask([state], t);
  while (t < until && !finished()) {
    signal?.throwIfAborted();
    // guesses[i] is what step t + i commits; guesses[0] is what it really does.
    const guesses: Commit[][] = [];
    const states: State[] = [];
    let left = predictions;
    let guess = state;
    const steps = schedule.slice(t, t + (mayPropose(blocks[t]) ? depth : 1));
    if (steps.length > 1) mayPropose.spend(blocks[t]);
    for (const step of steps) {
      const commits = select(left, step, origin);
      const taken = new Set(commits.map(({ position }) => position));
      left = left.filter(({ position }) => !taken.has(position));
      guess = commit(guess, commits);
      guesses.push(commits);
      states.push(guess);
    }
    // The state behind the last step of all needs no forward pass.
    const open = states.slice(0, Math.min(states.length, schedule.length - 1 - t));
    const answers = open.length > 0 ? await ask(open, t + 1) : [];
    // What the target itself does: its confidences are those of the state, not of the guess.
    const own = [guesses[0]];
    while (own.length < guesses.length) {
      const i = own.length;
      const commits = select(answers[i - 1], steps[i], origin);
      const judged = judgeProposals(states[i - 1].sequence, i, guesses[i], commits);
      acceptance = recordProposals(acceptance, judged);
      if (!sameCommits(commits, guesses[i])) break;
      own.push(commits);
    }
    const sure = own.length;
    proposed.push(guesses.length - 1);
    accepted.push(sure - 1);
    if (answers.length >= sure) predictions = answers[sure - 1];
    for (let i = 0; i < sure; i++) {
      signal?.throwIfAborted();
      state = commit(state, own[i]);
      yield {
        step: t,
        block: blocks[t],
        nfe: count.targetForwards,
        commits: [own[i]],
        ...verdict([[], ...guesses.slice(1)], own[i], i, sure - 1),
      };
      t++;
      if (finished()) break;
    }
  }
  return { sequence: state.sequence, ...count, proposed, accepted, acceptance };
}

function blocksOf(sequence: Sequence, { blockLength, steps }: DenoiseOptions): number[] {
  return planSteps({ genLength: generationLength(sequence), blockLength, steps })
    .map(({ block }) => block);
}
