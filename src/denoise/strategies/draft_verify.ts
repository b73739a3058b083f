/**
 * Strategies with proposals: they guess several denoising steps cheaply, and verify all guessed
 * states in one forward pass of the target.
 *
 * LLaDA's logits at a decided position see that position's own token, so running the target over
 * drafted text verifies nothing. Therefore the target runs over the intermediate states, which
 * still have masks.
 */

import type { PassOptions } from "./block_steps.ts";
import { checkCache, checkCounts, checkSuffixWindow } from "../check_options.ts";
import { startStepCourse } from "./step_course.ts";
import type { DenoiseStep } from "../denoise_step.ts";
import type { CanvasStep, Commit, Prediction, Predictor } from "../predictor.ts";
import {
  commit,
  type ProposalResult,
  ProposalRun,
  type RoundOptions,
  select,
  type State,
} from "./proposal_run.ts";
import { withoutScores } from "../sampling.ts";
import type { Sequence } from "../sequence.ts";
import { openRunner } from "../step_runner.ts";
import type { Strategy } from "../strategy_options.ts";

/** Options of strategies that propose steps. */
export interface ProposalOptions extends RoundOptions, PassOptions {
  /** Limit of steps proposed per round. */
  readonly depth: number;
}

/** @throws as {@linkcode ProposalRun}, and {@linkcode RangeError} for a depth below 1 */
function startRun(sequence: Sequence, target: Predictor, options: ProposalOptions): ProposalRun {
  const run = new ProposalRun(sequence, target, options);
  checkCache(options);
  checkSuffixWindow(options);
  checkCounts({ depth: options.depth });
  return run;
}

function sameCommits(a: readonly Commit[], b: readonly Commit[]): boolean {
  return a.length === b.length &&
    a.every(({ position, token }, i) => position === b[i].position && token === b[i].token);
}

/**
 * The guesses that step `i` of a round reports. Those of the steps before `kept` were accepted.
 * @param guesses guesses for each step of the round; a step may have none
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
 * `lossless`: the draft makes up to `depth` steps of the target's schedule. The target runs once
 * over the state before them and the state after each. The longest prefix of steps that the target
 * would have taken too is kept, followed by the target's own next step. The result equals
 * target-only denoising with the same cache policy exactly (greedy or with the same seed), since
 * the target's bits do not depend on the batch. A step that refreshes a cache runs alone.
 * @throws as `denoise`, and {@linkcode RangeError} for a depth or rounds below 1, and for a cache that
 * the target cannot keep
 */
export async function* lossless(
  sequence: Sequence,
  target: Predictor,
  draft: Predictor,
  options: ProposalOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  const { signal, depth } = options;
  const run = startRun(sequence, target, options);
  const course = startStepCourse(sequence, options);
  const drafter = await openDrafter(run, sequence, draft, options);
  try {
    while (!course.isOver && !run.isFinished()) {
      signal?.throwIfAborted();
      const { block } = course;
      const ahead = course.ahead(run.state.sequence, 1 + (run.mayPropose(block) ? depth : 0));
      const refreshes = ahead[0].cache === "refresh";
      const steps = refreshes ? ahead.slice(0, 1) : ahead;
      const proposals = await drafter.propose(steps.slice(0, -1));
      if (refreshes) drafter.refresh();
      const states = [run.state];
      for (const commits of proposals) states.push(commit(states.at(-1)!, commits));
      const answers = await run.ask(states, steps, steps.map(({ blockEnd }) => blockEnd));
      const own = answers.map((predictions, i) => select(predictions, steps[i], sequence));
      let kept = 0;
      while (kept < proposals.length && sameCommits(own[kept], proposals[kept])) kept++;
      if (proposals.length > 0) run.spendRound(block);
      run.countRound(proposals.length, kept);
      proposals.slice(0, kept + 1).forEach((guesses, i) =>
        run.judge(states[i], i + 1, guesses, own[i])
      );
      for (let i = 0; i <= kept; i++) {
        signal?.throwIfAborted();
        yield run.take(course, own[i], verdict(proposals, own[i], i, kept));
        if (run.isFinished()) break;
      }
    }
  } finally {
    drafter.close();
    run.close();
  }
  return run.result();
}

/** A draft that guesses the target's next steps. */
interface Drafter {
  /** Runs these steps from the run's state on. @returns the draft's commits at each */
  propose(steps: readonly CanvasStep[]): Promise<Commit[][]>;
  /**
   * Tells that the target's keys and values were refreshed; the next proposal refreshes the
   * draft's.
   */
  refresh(): void;
  close(): void;
}

async function openDrafter(
  run: ProposalRun,
  sequence: Sequence,
  draft: Predictor,
  options: ProposalOptions,
): Promise<Drafter> {
  const runner = await openRunner([sequence], draft, {
    ...withoutScores(options),
    stepsPerReadback: options.depth,
  });
  let refreshes = true;
  const stepOf = (step: CanvasStep): CanvasStep => {
    // The draft need not keep keys and values, and stale ones only make worse guesses.
    const cache = draft.openCanvas && step.cache && (refreshes ? "refresh" : step.cache);
    refreshes = false;
    return { ...step, cache, stopAtEnd: false };
  };
  return {
    async propose(steps) {
      const proposals: Commit[][] = [];
      if (steps.length === 0) return proposals;
      let { state } = run;
      runner.setIds?.(0, state.sequence.ids, state.unconditional?.ids);
      while (proposals.length < steps.length) {
        const taken = proposals.length;
        const chunk = steps.slice(taken, taken + runner.chunkLength).map(stepOf);
        for (const [commits] of await runner.run(chunk, [state.sequence])) {
          proposals.push(commits);
          state = commit(state, commits);
        }
        run.countDraft(proposals.length - taken, 1);
      }
      return proposals;
    },
    refresh: () => void (refreshes = true),
    close: () => runner.close(),
  };
}

/**
 * `self`: no second model. The target's last forward pass gives a token and a confidence for every
 * mask. Filling them in by the schedule's order guesses the next `depth` states, of which the first
 * is always right. One pass over all these states shows how many guesses were right, and its logits
 * at the last right state start the next round (FreeDave, arXiv 2510.00294; SSD, arXiv 2510.04147;
 * Spiffy, arXiv 2509.18085). The result equals target-only denoising, as with {@linkcode lossless}.
 * With a cache, guesses stop at the end of the block or before its next refresh, which is a
 * separate pass.
 * @throws as {@linkcode lossless}
 */
export async function* selfDraft(
  sequence: Sequence,
  target: Predictor,
  options: ProposalOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  const { signal, depth } = options;
  const run = startRun(sequence, target, options);
  const course = startStepCourse(sequence, options);
  // Guesses may reach into the next block, so its masks are predicted ahead of time.
  const ask = (states: readonly State[], steps: readonly CanvasStep[], behind: number) =>
    run.ask(states, steps, states.map((_, i) => course.candidateEnd(behind + i + depth)));
  try {
    let predictions: readonly Prediction[] | undefined;
    while (!course.isOver && !run.isFinished()) {
      signal?.throwIfAborted();
      const { block } = course;
      const ahead = course.ahead(run.state.sequence, 1 + depth);
      predictions ??= (await ask([run.state], ahead, 0))[0];
      // guesses[i] are the guessed commits of the step ahead[i]; guesses[0] are always right.
      const guesses: Commit[][] = [];
      const states: State[] = [];
      let left = predictions;
      let guess = run.state;
      for (const step of ahead.slice(0, run.mayPropose(block) ? depth : 1)) {
        const commits = select(left, step, sequence);
        const taken = new Set(commits.map(({ position }) => position));
        left = left.filter(({ position }) => !taken.has(position));
        guess = commit(guess, commits);
        guesses.push(commits);
        states.push(guess);
      }
      // After the last step, or before a refresh, there are no states to verify.
      const open = states.slice(0, ahead.length - 1);
      const answers = open.length > 0 ? await ask(open, ahead.slice(1), 1) : [];
      // The target's own commits, whose confidences belong to the state and not to the guess.
      const own = [guesses[0]];
      while (own.length < guesses.length) {
        const i = own.length;
        const commits = select(answers[i - 1], ahead[i], sequence);
        run.judge(states[i - 1], i, guesses[i], commits);
        if (!sameCommits(commits, guesses[i])) break;
        own.push(commits);
      }
      const sure = own.length;
      predictions = answers[sure - 1];
      if (guesses.length > 1) run.spendRound(block);
      run.countRound(guesses.length - 1, sure - 1);
      for (let i = 0; i < sure; i++) {
        signal?.throwIfAborted();
        const proposals = [[], ...guesses.slice(1)];
        yield run.take(course, own[i], verdict(proposals, own[i], i, sure - 1));
        if (run.isFinished()) break;
      }
    }
  } finally {
    run.close();
  }
  return run.result();
}

const USES = [
  "confidence",
  "cache",
  "refreshInterval",
  "suffixWindow",
  "depth",
  "rounds",
  "sampling",
] as const;
/** Default limit of steps proposed per round. */
const DEPTH = 4;

/** The strategy `lossless`; see {@linkcode lossless}. */
export const losslessStrategy: Strategy = {
  lossless: true,
  needsDraft: true,
  uses: USES,
  run: (sequence, { target, draft }, options) =>
    lossless(sequence, target, draft!, { ...options, depth: options.depth ?? DEPTH }),
};

/** The strategy `self`; see {@linkcode selfDraft}. */
export const selfStrategy: Strategy = {
  lossless: true,
  needsDraft: false,
  uses: USES,
  run: (sequence, { target }, options) =>
    selfDraft(sequence, target, { ...options, depth: options.depth ?? DEPTH }),
};
