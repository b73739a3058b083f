/** Commit, then verify: the draft writes ahead, the target judges every token as if it were masked. */

import { cachePlan, type CachePolicy, NO_CACHE } from "../cache_plan.ts";
import {
  checkCache,
  checkCounts,
  checkProbabilities,
  checkRanking,
  requireProbability,
} from "../check_options.ts";
import { canvasStep } from "../denoise.ts";
import type { DenoiseOptions, DenoiseStep } from "../denoise_step.ts";
import {
  type CanvasStep,
  type Commit,
  type ForwardInput,
  NO_TOKEN,
  type Prediction,
  type Predictor,
} from "../predictor.ts";
import {
  commit,
  type ProposalResult,
  ProposalRun,
  question,
  type RoundOptions,
  type State,
} from "./proposal_run.ts";
import { planSteps } from "../schedule.ts";
import { BY_CONFIDENCE, selectCommits } from "../selection.ts";
import { generationLength, maskedPositions, type Sequence } from "../sequence.ts";
import { openRunner, type StepRunner } from "../step_runner.ts";
import type { Strategy } from "../strategy_options.ts";

/**
 * From 0.5 on a guess is the target's own choice, so the rule says something only below; at 0.3 no
 * more than two other tokens are as likely.
 */
const BACK_THRESHOLD = 0.3;

/** How far the draft goes, and what the target lets stand. */
export interface CommitVerifyOptions extends RoundOptions {
  /** Draft steps a round, at most. */
  readonly depth: number;
  /** A draft step commits what it is this sure of, and always its surest. */
  readonly draftThreshold: number;
  /** The target's own token takes a refused guess's place from this confidence on. */
  readonly targetThreshold: number;
  /**
   * Least probability that the target gives a guess which is not its own choice, for it to stay
   * (tau_back).
   */
  readonly backThreshold: number;
  /** Keys and values that the draft's steps reuse; the target's passes are always whole. */
  readonly cache?: CachePolicy;
  /** Draft steps of a block from one refresh to the next; default: its first step only. */
  readonly refreshInterval?: number;
}

/**
 * `commit_verify` (commit, then verify; this project's definition). A round inside the current block:
 * the draft takes up to `depth` steps; one pass of the target sees what came of them and answers at
 * every position that was masked before the round, at those drafted through their shadows
 * ({@linkcode ForwardInput.shadows}, the shadow block of Hong et al. 2025, WINO, arXiv 2507.18578). A
 * guess stays where the target chooses it too or gives it `backThreshold`; else the target's token
 * takes its place from `targetThreshold` on; else it is masked again. The target's surest of what is
 * masked is always committed, so a round decides a position at least. What an earlier round decided
 * stays.
 *
 * A step is yielded behind the verification and holds what is left of the round: no guess that is
 * taken back is ever a commit. Draft and target share the round's noise.
 * @throws as `denoise`, and {@linkcode RangeError} for a threshold, depth, interval or number of rounds
 * out of range, remasking `random`, or a cache with guidance
 */
export async function* commitVerify(
  sequence: Sequence,
  target: Predictor,
  draft: Predictor,
  options: CommitVerifyOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  const { signal, blockLength, depth } = options;
  const run = new ProposalRun(sequence, target, options);
  checkOptions(options);
  const { promptLength, maskToken } = sequence;
  const genLength = generationLength(sequence);
  planSteps({ genLength, blockLength, steps: genLength });
  signal?.throwIfAborted();
  const drafting = await openRunner([sequence], draft, { ...options, stepsPerReadback: depth });
  try {
    for (let block = 0; block < genLength / blockLength && !run.isFinished(); block++) {
      const planned = { block, blockEnd: (block + 1) * blockLength, commits: blockLength };
      const blockStart = promptLength + block * blockLength;
      const masked = () => maskedIn(run.state.sequence, blockStart, blockStart + blockLength);
      let draftSteps = 0;
      for (let left = masked(); left.length > 0 && !run.isFinished();) {
        signal?.throwIfAborted();
        const { targetForwards: index } = run;
        const step = { ...canvasStep(planned, index, promptLength, options), blockStart };
        let ahead: Ahead = { state: run.state, steps: [] };
        // The target commits its surest in any case: a last mask needs no guess.
        if (left.length > 1 && run.mayPropose(block)) {
          run.spendRound(block);
          const { idle, readbacks, ...drafted } = await draftAhead(
            drafting,
            run.state,
            step,
            draftSteps,
            options,
          );
          ahead = drafted;
          draftSteps += ahead.steps.length;
          run.countDraft(ahead.steps.length, readbacks, idle);
        }
        const [answers] = await run.predict([judging(ahead.state, step, left, options)]);
        const commits = verdict(answers, ahead.state.sequence, step, options);
        run.commit(commits);
        ahead.steps.forEach(({ before, guesses }, i) => run.judge(before, i + 1, guesses, commits));
        const { ids } = run.state.sequence;
        const proposed = ahead.steps.flatMap(({ guesses }) => guesses)
          .sort((a, b) => a.position - b.position);
        const rejected = proposed.filter(({ position, token }) => ids[position] !== token);
        run.countRound(proposed.length, proposed.length - rejected.length);
        const remasked = rejected.map(({ position }) => position)
          .filter((position) => ids[position] === maskToken);
        const { targetForwards: nfe } = run;
        yield { step: index, block, nfe, commits: [commits], proposed, rejected, remasked };
        const before = left.length;
        left = masked();
        // Nothing but mask tokens were committed: the same would follow for ever.
        if (left.length === before) break;
      }
    }
  } finally {
    drafting.close();
  }
  return run.result();
}

/** What came of the draft's steps of a round. */
interface Ahead {
  /** Behind them. */
  readonly state: State;
  /** The state before each, and the tokens that it decided. */
  readonly steps: readonly { readonly before: State; readonly guesses: readonly Commit[] }[];
}

/**
 * Up to `depth` steps of the draft, as long as the block holds a mask.
 * @returns also the passes behind the step that filled the block
 */
async function draftAhead(
  runner: StepRunner,
  from: State,
  step: CanvasStep,
  /** Draft steps of this block so far. */
  taken: number,
  { depth, draftThreshold, cache = NO_CACHE, refreshInterval = Infinity }: CommitVerifyOptions,
): Promise<Ahead & { readonly idle: number; readonly readbacks: number }> {
  const { blockStart = 0, blockEnd } = step;
  const { maskToken } = from.sequence;
  runner.setIds?.(0, from.sequence.ids, from.unconditional?.ids);
  let state = from;
  const steps: Ahead["steps"][number][] = [];
  let idle = 0;
  let readbacks = 0;
  const masks = () => maskedIn(state.sequence, blockStart, blockEnd).length;
  for (let left = masks(); left > 0 && steps.length < depth; left = masks()) {
    const length = Math.min(runner.chunkLength, depth - steps.length, left);
    const chunk = Array.from({ length }, (_, i): CanvasStep => ({
      ...step,
      rule: { kind: "threshold", threshold: draftThreshold },
      cache: cachePlan(cache, {
        stepInBlock: taken + steps.length + i,
        blockStart,
        blockEnd,
        length: state.sequence.ids.length,
        refreshInterval,
      }),
      stopAtEnd: false,
    }));
    const commitsByStep = await runner.run(chunk, [state.sequence]);
    readbacks++;
    for (const [commits] of commitsByStep) {
      if (commits.length === 0) {
        idle++;
        continue;
      }
      const guesses = commits.filter(({ token }) => token !== maskToken);
      steps.push({ before: state, guesses });
      state = commit(state, commits);
    }
  }
  return { state, steps, idle, readbacks };
}

/** What the target is asked behind the draft's steps: `positions`, at drafted ones their shadows. */
function judging(
  state: State,
  step: CanvasStep,
  positions: Uint32Array,
  options: DenoiseOptions,
): ForwardInput {
  const { ids, maskToken } = state.sequence;
  return {
    ...question(state, step, step.blockEnd, options),
    positions,
    shadows: positions.filter((position) => ids[position] !== maskToken),
    judged: positions.map((position) => ids[position] === maskToken ? NO_TOKEN : ids[position]),
  };
}

/** What the target's answers leave of the guesses in `ids`, and what they add; positions ascending. */
function verdict(
  answers: readonly Prediction[],
  { ids, maskToken }: Sequence,
  { choices: [{ seed, step }] }: CanvasStep,
  { targetThreshold, backThreshold }: CommitVerifyOptions,
): Commit[] {
  const commits: Commit[] = [];
  const open: Prediction[] = [];
  for (const answer of answers) {
    const { position, token, confidence, logProbability, judgedConfidence = 0 } = answer;
    const guess = ids[position];
    const own = { position, token, confidence, logProbability };
    if (guess === maskToken) open.push(answer);
    else if (guess === token) commits.push(own);
    else if (judgedConfidence >= backThreshold) {
      const logProbability = Math.log(judgedConfidence);
      commits.push({ position, token: guess, confidence: judgedConfidence, logProbability });
    } else if (confidence >= targetThreshold) commits.push(own);
    else open.push(answer);
  }
  const surest = selectCommits(open, 1, { remasking: BY_CONFIDENCE, seed, step });
  return [...commits, ...surest].sort((a, b) => a.position - b.position);
}

function maskedIn(sequence: Sequence, first: number, end: number): Uint32Array {
  return maskedPositions(sequence, end).filter((position) => position >= first);
}

/** @throws {RangeError} naming the option that is out of range */
function checkOptions(options: CommitVerifyOptions): void {
  checkCache(options);
  requireProbability(options.confidence);
  checkRanking(options, "this strategy");
  const { depth, draftThreshold, targetThreshold, backThreshold } = options;
  checkProbabilities({ draftThreshold, targetThreshold, backThreshold });
  checkCounts({ depth });
}

/** `commit_verify`, as {@linkcode commitVerify} has it. */
export const commitVerifyStrategy: Strategy = {
  lossless: false,
  needsDraft: true,
  uses: [
    "cache",
    "refreshInterval",
    "depth",
    "rounds",
    "draftThreshold",
    "targetThreshold",
    "backThreshold",
  ],
  run: (sequence, { target, draft }, options) =>
    commitVerify(sequence, target, draft!, {
      ...options,
      depth: options.depth ?? 2,
      draftThreshold: options.draftThreshold ?? 0.9,
      targetThreshold: options.targetThreshold ?? 0.7,
      backThreshold: options.backThreshold ?? BACK_THRESHOLD,
    }),
};
