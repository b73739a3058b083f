/** Strategy `gate`: verify, then commit the positions on which draft and target agree. */

import { checkProbabilities, checkRanking, requireProbability } from "../check_options.ts";
import { canvasStep } from "../denoise.ts";
import type { DenoiseStep } from "../denoise_step.ts";
import type { Prediction, Predictor } from "../predictor.ts";
import { type ProposalResult, ProposalRun, question, type RoundOptions } from "./proposal_run.ts";
import { planSteps } from "../schedule.ts";
import { withoutScores } from "../sampling.ts";
import { asCommit, BY_CONFIDENCE, selectCommits } from "../selection.ts";
import { generationLength, maskedPositions, type Sequence } from "../sequence.ts";
import type { Strategy } from "../strategy_options.ts";

/** Options of when two models' agreement is enough to commit. */
export interface GateOptions extends RoundOptions {
  /** Least confidence of the draft. */
  readonly draftThreshold: number;
  /** Least confidence of the target; since two models agree, it may be below the usual 0.9. */
  readonly targetThreshold: number;
}

/**
 * `gate` (verify, then commit; this project's definition): draft and target run on the same state.
 * Every masked position of the block is committed where both choose the same token with enough
 * confidence; the target's most confident token always is. A block is repeated until it holds no
 * mask. Every committed token is the target's choice at that state, but the order is not that of
 * the plain schedule.
 * @throws as `denoise`, and {@linkcode RangeError} for a threshold outside [0, 1] or
 * remasking `random`
 */
export async function* gate(
  sequence: Sequence,
  target: Predictor,
  draft: Predictor,
  options: GateOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  const { signal, blockLength, draftThreshold, targetThreshold, seeds } = options;
  const run = new ProposalRun(sequence, target, options);
  checkProbabilities({ draftThreshold, targetThreshold });
  requireProbability(options.confidence);
  checkRanking(options, "this strategy");
  const genLength = generationLength(sequence);
  planSteps({ genLength, blockLength, steps: genLength });
  for (let block = 0; block < genLength / blockLength; block++) {
    const planned = { block, blockEnd: (block + 1) * blockLength, commits: 1 };
    const blockEnd = sequence.promptLength + planned.blockEnd;
    let left = maskedPositions(run.state.sequence, blockEnd).length;
    while (left > 0 && !run.isFinished()) {
      signal?.throwIfAborted();
      const { state, targetForwards: index } = run;
      const step = canvasStep(planned, index, sequence.promptLength, options);
      let drafted: Prediction[] = [];
      if (run.mayPropose(block)) {
        run.spendRound(block);
        const asked = question(state, step, blockEnd, withoutScores(options));
        [drafted] = await draft.predict([asked]);
        run.countDraft(1, 1);
      }
      const [verified] = await run.ask([state], [step], [blockEnd]);
      const ranking = { remasking: BY_CONFIDENCE, seed: seeds[0], step: index };
      const surest = selectCommits(verified, 1, ranking)[0];
      const commits = verified.filter((prediction, i) =>
        prediction.position === surest.position ||
        (prediction.token === drafted[i]?.token && drafted[i].confidence >= draftThreshold &&
          prediction.confidence >= targetThreshold)
      ).map(asCommit);
      const guesses = drafted.filter(({ confidence }) => confidence >= draftThreshold)
        .map(asCommit);
      const rejected = guesses.filter(({ position, token }) =>
        !commits.some((commit) => commit.position === position && commit.token === token)
      );
      run.countRound(guesses.length, guesses.length - rejected.length);
      run.judge(state, 1, guesses, commits);
      run.commit(commits);
      const { targetForwards: nfe } = run;
      yield { step: index, block, nfe, commits: [commits], proposed: guesses, rejected };
      const before = left;
      left = maskedPositions(run.state.sequence, blockEnd).length;
      // Only mask tokens were committed, which would repeat forever.
      if (left === before) break;
    }
    if (run.isFinished()) break;
  }
  return run.result();
}

/** The strategy `gate`; see {@linkcode gate}. */
export const gateStrategy: Strategy = {
  lossless: false,
  needsDraft: true,
  uses: ["draftThreshold", "targetThreshold", "rounds", "sampling"],
  run: (sequence, { target, draft }, options) =>
    gate(sequence, target, draft!, {
      ...options,
      draftThreshold: options.draftThreshold ?? 0.9,
      targetThreshold: options.targetThreshold ?? 0.7,
    }),
};
