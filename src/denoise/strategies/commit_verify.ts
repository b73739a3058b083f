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
 * Default of `backThreshold`. A guess with 0.5 or more is the target's own choice, so only lower
 * values have an effect; at 0.3 at most two other tokens are as likely.
 */
const BACK_THRESHOLD = 0.3;

/** Options of how far the draft writes ahead, and which guesses the target keeps. */
export interface CommitVerifyOptions extends RoundOptions {
  /** Limit of draft steps per round. */
  readonly depth: number;
  /** Least confidence that a draft step commits; a step that has none ends the draft's part. */
  readonly draftThreshold: number;
  /** Least confidence at which the target's own token replaces a rejected guess. */
  readonly targetThreshold: number;
  /**
   * Least probability from the target at which a guess is kept although the target would choose
   * another token (tau_back).
   */
  readonly backThreshold: number;
  /** Keys and values that the draft's steps reuse; the target's passes never reuse any. */
  readonly cache?: CachePolicy;
  /** Draft steps of a block between refreshes; default: a refresh only at its first step. */
  readonly refreshInterval?: number;
}

/**
 * `commit_verify` (commit, then verify; this project's definition). In each round inside the
 * current block the draft takes up to `depth` steps. Then one pass of the target sees the result
 * and predicts at every position that was masked before the round. Drafted positions are predicted
 * through their shadows ({@linkcode ForwardInput.shadows}, the shadow block of Hong et al. 2025,
 * WINO, arXiv 2507.18578). A guess is kept if the target also chooses it or gives it at least
 * `backThreshold`. Otherwise the target's token replaces it if its confidence is at least
 * `targetThreshold`, else the position is masked again. The most confident of the target's tokens
 * at masked positions is always committed, so every round decides at least one position. Earlier
 * rounds' positions do not change.
 *
 * A step is yielded after the verification, with only the tokens that are kept: a guess that is
 * taken back is never a commit. Draft and target share the round's noise.
 * @throws as `denoise`, and {@linkcode RangeError} for a threshold, depth, interval or number of rounds
 * out of range, or remasking `random`
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
        // The target always commits its most confident token, so a last mask needs no guess.
        if (left.length > 1 && run.mayPropose(block)) {
          run.spendRound(block);
          const { passes, idle, readbacks, ...drafted } = await draftAhead(
            drafting,
            run.state,
            step,
            draftSteps,
            options,
          );
          ahead = drafted;
          draftSteps += passes + idle;
          run.countDraft(passes, readbacks, idle);
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
        // Only mask tokens were committed, which would repeat forever.
        if (left.length === before) break;
      }
    }
  } finally {
    drafting.close();
  }
  return run.result();
}

/** The result of a round's draft steps. */
interface Ahead {
  /** State after the steps. */
  readonly state: State;
  /** For each step, the state before it and the tokens that it decided. */
  readonly steps: readonly { readonly before: State; readonly guesses: readonly Commit[] }[];
}

/**
 * Runs up to `depth` steps of the draft, as long as the block holds a mask and the draft is sure of a
 * token. An unsure one would be shown to the target, which then fits the rest to it.
 * @returns also the number of its passes, and of those after the step that filled the block
 */
async function draftAhead(
  runner: StepRunner,
  from: State,
  step: CanvasStep,
  /** Draft steps of this block so far. */
  taken: number,
  { depth, draftThreshold, cache = NO_CACHE, refreshInterval = Infinity }: CommitVerifyOptions,
): Promise<
  Ahead & { readonly passes: number; readonly idle: number; readonly readbacks: number }
> {
  const { blockStart = 0, blockEnd } = step;
  const { maskToken } = from.sequence;
  runner.setIds?.(0, from.sequence.ids, from.unconditional?.ids);
  let state = from;
  const steps: Ahead["steps"][number][] = [];
  let passes = 0;
  let idle = 0;
  let readbacks = 0;
  let unsure = false;
  const masks = () => maskedIn(state.sequence, blockStart, blockEnd).length;
  for (let left = masks(); left > 0 && !unsure && steps.length < depth; left = masks()) {
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
      if (commits.length === 0 || unsure) {
        idle++;
        continue;
      }
      passes++;
      unsure = !commits.some(({ confidence }) => confidence >= draftThreshold);
      if (unsure) continue;
      const guesses = commits.filter(({ token }) => token !== maskToken);
      steps.push({ before: state, guesses });
      state = commit(state, commits);
    }
  }
  return { state, steps, passes, idle, readbacks };
}

/**
 * The target's input after the draft's steps: it predicts at `positions`, drafted ones as shadows.
 */
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

/** The guesses in `ids` that the target keeps, and the tokens it adds; positions ascending. */
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

/** The strategy `commit_verify`; see {@linkcode commitVerify}. */
export const commitVerifyStrategy: Strategy = {
  lossless: false,
  needsDraft: true,
  judgesShadows: true,
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
