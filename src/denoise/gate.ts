/** Verify, then commit: positions on which draft and target agree. */

import { judgeProposals, NO_ACCEPTANCE, recordProposals } from "./acceptance.ts";
import { canvasStep, checkBatch, type DenoiseOptions, type DenoiseStep } from "./denoise.ts";
import { checkRounds, commit, type ProposalResult, question, start } from "./draft_verify.ts";
import type { Commit, Prediction, Predictor } from "./predictor.ts";
import { planSteps } from "./schedule.ts";
import { selectCommits } from "./selection.ts";
import { decidedUpToEnd, generationLength, maskedPositions, type Sequence } from "./sequence.ts";

/** When two models' agreement is enough. */
export interface GateOptions extends DenoiseOptions {
  /** Least confidence of the draft. */
  readonly draftThreshold: number;
  /** Least confidence of the target; two models agree, so it may lie below the usual 0.9. */
  readonly targetThreshold: number;
  /** Rounds a block, at most; then the target commits its surest alone. Default: no bound. */
  readonly rounds?: number;
}

/**
 * `gate` (verify, then commit; this project's definition): the same state through draft and target;
 * every masked position of the block is committed where both choose the same token and both are sure
 * enough, and always the target's surest. A block is repeated until it holds no mask. Every committed
 * token is the target's choice at that state; the trajectory is not the plain schedule's.
 * @throws as `denoise`, and {@linkcode RangeError} for a threshold outside [0, 1]
 */
export async function* gate(
  sequence: Sequence,
  target: Predictor,
  draft: Predictor,
  options: GateOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  const { signal, blockLength, draftThreshold, targetThreshold, seeds } = options;
  const { rounds = Infinity } = options;
  checkBatch([sequence], options);
  checkRounds(options.rounds);
  for (const [name, value] of Object.entries({ draftThreshold, targetThreshold })) {
    if (value >= 0 && value <= 1) continue;
    throw new RangeError(`${name} is ${value}: expected a number from 0 to 1`);
  }
  const genLength = generationLength(sequence);
  planSteps({ genLength, blockLength, steps: genLength });
  let state = start(sequence, options);
  let nfe = 0;
  let draftForwards = 0;
  let acceptance = NO_ACCEPTANCE;
  const proposed: number[] = [];
  const accepted: number[] = [];
  const finished = () =>
    options.finished?.() ||
    (options.stopAtEnd && decidedUpToEnd(state.sequence, options.endTokens));
  for (let block = 0; block < genLength / blockLength; block++) {
    const planned = { block, blockEnd: (block + 1) * blockLength, commits: 1 };
    const blockEnd = sequence.promptLength + planned.blockEnd;
    let left = maskedPositions(state.sequence, blockEnd).length;
    for (let round = 0; left > 0 && !finished(); round++) {
      signal?.throwIfAborted();
      const step = canvasStep(planned, nfe, sequence.promptLength, options);
      const input = question(state, step, blockEnd, options);
      const [drafted] = round < rounds ? await draft.predict([input]) : [[]];
      if (round < rounds) draftForwards++;
      const [verified] = await target.predict([input]);
      const ranking = { remasking: "low_confidence", seed: seeds[0], step: nfe } as const;
      const surest = selectCommits(verified, 1, ranking)[0];
      const commits = verified.filter((prediction, i) =>
        prediction.position === surest.position ||
        (prediction.token === drafted[i]?.token && drafted[i].confidence >= draftThreshold &&
          prediction.confidence >= targetThreshold)
      ).map(asCommit);
      const guesses = drafted.filter(({ confidence }) => confidence >= draftThreshold).map(
        asCommit,
      );
      const rejected = guesses.filter(({ position, token }) =>
        !commits.some((commit) => commit.position === position && commit.token === token)
      );
      const judged = judgeProposals(state.sequence, 1, guesses, commits);
      acceptance = recordProposals(acceptance, judged);
      proposed.push(guesses.length);
      accepted.push(guesses.length - rejected.length);
      state = commit(state, commits);
      nfe++;
      yield { step: nfe - 1, block, nfe, commits: [commits], proposed: guesses, rejected };
      const before = left;
      left = maskedPositions(state.sequence, blockEnd).length;
      // Nothing but mask tokens were committed: the same would follow for ever.
      if (left === before) break;
    }
    if (finished()) break;
  }
  return {
    sequence: state.sequence,
    targetForwards: nfe,
    targetStates: nfe,
    draftForwards,
    readbacks: nfe + draftForwards,
    proposed,
    accepted,
    acceptance,
  };
}

function asCommit({ position, token, confidence, logProbability }: Prediction): Commit {
  return { position, token, confidence, logProbability };
}
