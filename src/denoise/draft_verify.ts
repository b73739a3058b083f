/**
 * Strategies with proposals: a cheap guess at several denoising steps, and one forward pass of the
 * target over all the states guessed.
 *
 * LLaDA's logits at a decided position see that position's own token, so running the target once over
 * drafted text verifies nothing. What is run here are the intermediate, masked states.
 */

import { canvasStep, type DenoiseOptions, type DenoiseStep } from "./denoise.ts";
import type { CanvasStep, Commit, Predictor } from "./predictor.ts";
import {
  commit,
  type ProposalResult,
  ProposalRun,
  type RoundOptions,
  select,
  type State,
} from "./proposal_run.ts";
import { planSteps } from "./schedule.ts";
import { generationLength, type Sequence } from "./sequence.ts";
import { openRunner, type StepRunner } from "./step_runner.ts";

/** How many steps are guessed at. */
export interface ProposalOptions extends RoundOptions {
  /** Steps proposed a round, at most. */
  readonly depth: number;
}

/** @throws as {@linkcode ProposalRun}, and {@linkcode RangeError} for a depth below 1 */
function startRun(sequence: Sequence, target: Predictor, options: ProposalOptions): ProposalRun {
  const run = new ProposalRun(sequence, target, options);
  if (Number.isInteger(options.depth) && options.depth >= 1) return run;
  throw new RangeError(`depth is ${options.depth}: expected a whole number above 0`);
}

/** The steps of the plain schedule as a canvas takes them, and the block of each. */
function scheduleOf(sequence: Sequence, options: DenoiseOptions) {
  const { blockLength, steps } = options;
  const plan = planSteps({ genLength: generationLength(sequence), blockLength, steps });
  return {
    schedule: plan.map((planned, i) => canvasStep(planned, i, sequence.promptLength, options)),
    blocks: plan.map(({ block }) => block),
  };
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
 * @throws as `denoise`, and {@linkcode RangeError} for a depth or rounds below 1
 */
export async function* lossless(
  sequence: Sequence,
  target: Predictor,
  draft: Predictor,
  options: ProposalOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  const { signal, depth } = options;
  const run = startRun(sequence, target, options);
  const { schedule, blocks } = scheduleOf(sequence, options);
  const { from = 0, until = schedule.length } = options;
  const drafting = await openRunner([sequence], draft, { ...options, stepsPerReadback: depth });
  try {
    for (let t = from; t < until && !run.isFinished();) {
      signal?.throwIfAborted();
      const steps = schedule.slice(t, t + 1 + (run.mayPropose(blocks[t]) ? depth : 0));
      const proposals = await propose(run, drafting, steps.slice(0, -1));
      const states = [run.state];
      for (const commits of proposals) states.push(commit(states.at(-1)!, commits));
      const answers = await run.ask(states, steps, steps.map(({ blockEnd }) => blockEnd));
      const own = answers.map((predictions, i) => select(predictions, steps[i], sequence));
      let kept = 0;
      while (kept < proposals.length && sameCommits(own[kept], proposals[kept])) kept++;
      if (proposals.length > 0) run.spendRound(blocks[t]);
      run.countRound(proposals.length, kept);
      proposals.slice(0, kept + 1).forEach((guesses, i) =>
        run.judge(states[i], i + 1, guesses, own[i])
      );
      for (let i = 0; i <= kept; i++) {
        signal?.throwIfAborted();
        run.commit(own[i]);
        yield {
          step: t,
          block: blocks[t],
          nfe: run.targetForwards,
          commits: [own[i]],
          ...verdict(proposals, own[i], i, kept),
        };
        t++;
        if (run.isFinished()) break;
      }
    }
  } finally {
    drafting.close();
  }
  return run.result();
}

/** What the draft commits at these steps, one behind another. */
async function propose(
  run: ProposalRun,
  drafting: StepRunner,
  steps: readonly CanvasStep[],
): Promise<Commit[][]> {
  const proposals: Commit[][] = [];
  if (steps.length === 0) return proposals;
  let { state } = run;
  drafting.setIds?.(0, state.sequence.ids, state.unconditional?.ids);
  for (let i = 0; i < steps.length; i += drafting.chunkLength) {
    const chunk = steps.slice(i, i + drafting.chunkLength)
      .map((step) => ({ ...step, stopAtEnd: false }));
    for (const [commits] of await drafting.run(chunk, [state.sequence])) {
      proposals.push(commits);
      state = commit(state, commits);
    }
    run.countDraft(chunk.length, 1);
  }
  return proposals;
}

/**
 * `self`: no second model. The last forward pass of the target has a token and a confidence for every
 * mask; filling them in schedule order guesses the next `depth` states, the first of which is certain.
 * One pass over all of them says how far the guess was what the target does, and its logits at the
 * last right state start the next round (FreeDave, arXiv 2510.00294; SSD, arXiv 2510.04147; Spiffy,
 * arXiv 2509.18085). Equal to target-only denoising, as {@linkcode lossless}.
 * @throws as `denoise`, and {@linkcode RangeError} for a depth or rounds below 1
 */
export async function* selfDraft(
  sequence: Sequence,
  target: Predictor,
  options: ProposalOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  const { signal, depth } = options;
  const run = startRun(sequence, target, options);
  const { schedule, blocks } = scheduleOf(sequence, options);
  const { from = 0, until = schedule.length } = options;
  // Guesses may cross into the next block: its masks are asked about ahead of time.
  const ask = (states: readonly State[], first: number) =>
    run.ask(
      states,
      schedule.slice(first),
      states.map((_, i) => schedule[Math.min(schedule.length - 1, first + i + depth)].blockEnd),
    );

  signal?.throwIfAborted();
  let t = from;
  if (t >= until || run.isFinished()) return run.result();
  let [predictions] = await ask([run.state], t);
  while (t < until && !run.isFinished()) {
    signal?.throwIfAborted();
    // guesses[i] is what step t + i commits; guesses[0] is what it really does.
    const guesses: Commit[][] = [];
    const states: State[] = [];
    let left = predictions;
    let guess = run.state;
    const steps = schedule.slice(t, t + (run.mayPropose(blocks[t]) ? depth : 1));
    for (const step of steps) {
      const commits = select(left, step, sequence);
      const taken = new Set(commits.map(({ position }) => position));
      left = left.filter(({ position }) => !taken.has(position));
      guess = commit(guess, commits);
      guesses.push(commits);
      states.push(guess);
    }
    // The state behind the last step of all needs no forward pass.
    const open = states.slice(0, schedule.length - 1 - t);
    const answers = open.length > 0 ? await ask(open, t + 1) : [];
    // What the target itself does: its confidences are those of the state, not of the guess.
    const own = [guesses[0]];
    while (own.length < guesses.length) {
      const i = own.length;
      const commits = select(answers[i - 1], steps[i], sequence);
      run.judge(states[i - 1], i, guesses[i], commits);
      if (!sameCommits(commits, guesses[i])) break;
      own.push(commits);
    }
    const sure = own.length;
    if (guesses.length > 1) run.spendRound(blocks[t]);
    run.countRound(guesses.length - 1, sure - 1);
    if (answers.length >= sure) predictions = answers[sure - 1];
    for (let i = 0; i < sure; i++) {
      signal?.throwIfAborted();
      run.commit(own[i]);
      yield {
        step: t,
        block: blocks[t],
        nfe: run.targetForwards,
        commits: [own[i]],
        ...verdict([[], ...guesses.slice(1)], own[i], i, sure - 1),
      };
      t++;
      if (run.isFinished()) break;
    }
  }
  return run.result();
}
