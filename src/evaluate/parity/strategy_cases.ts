/** Parallel decoding, cache and draft/verify cases of `unmask parity`. */

import { NO_CACHE } from "../../denoise/cache_plan.ts";
import type { DenoiseOptions } from "../../denoise/denoise_step.ts";
import { denoiseBlocks } from "../../denoise/strategies/blocks.ts";
import { lossless } from "../../denoise/strategies/draft_verify.ts";
import type { Predictor } from "../../denoise/predictor.ts";
import { COUNT, type SelectionRule } from "../../denoise/selection.ts";
import { newSequence, type Sequence } from "../../denoise/sequence.ts";
import type { Model } from "../../model/model.ts";
import type { FastCase, ParityResult, SpeculativeCase } from "./golden_files.ts";
import { compareSteps, drain, sameNumbers, stepwise, verdict } from "./sampling_cases.ts";

/** The masked sequence that a trajectory begins with. */
function sequenceOf({ prompt, gen_length }: FastCase | SpeculativeCase, model: Model): Sequence {
  return newSequence(Uint32Array.from(prompt[0]), gen_length, model.config.maskTokenId);
}

/** How every trajectory was denoised: greedily, to its last mask. */
function optionsOf(
  { block_length, steps }: FastCase | SpeculativeCase,
  { config: { eosTokenId } }: Model,
): DenoiseOptions {
  return {
    blockLength: block_length,
    steps,
    seeds: [0],
    eosToken: eosTokenId,
    endTokens: [eosTokenId],
    stopAtEnd: false,
  };
}

/** Runs a Fast-dLLM trajectory on the canvas; without a cache also step by step. */
export async function fastCase(golden: FastCase, model: Model): Promise<ParityResult> {
  const rule: SelectionRule = golden.threshold !== null
    ? { kind: "threshold", threshold: golden.threshold }
    : golden.factor !== null
    ? { kind: "factor", factor: golden.factor }
    : COUNT;
  const paths: [string, Predictor][] = [["canvas", model]];
  if (golden.cache === NO_CACHE) paths.push(["step by step", stepwise(model)]);
  const wrong: string[] = [];
  let confidence = 0;
  for (const [path, predictor] of paths) {
    const sequence = sequenceOf(golden, model);
    const { steps, result } = await drain(denoiseBlocks(sequence, predictor, {
      ...optionsOf(golden, model),
      rule,
      cache: golden.cache,
    }));
    const compared = compareSteps(steps, golden.log);
    confidence = Math.max(confidence, compared.confidence);
    wrong.push(...compared.wrong.map((what) => `${path}: ${what}`));
    if (result.nfe !== golden.nfe) {
      wrong.push(`${path}: ${result.nfe} forwards, expected ${golden.nfe}`);
    }
    if (!sameNumbers(result.sequences[0].ids, golden.final[0])) {
      wrong.push(`${path}: final ids differ`);
    }
  }
  const detail = `${golden.log.length} steps, cache ${golden.cache}`;
  return verdict(`sampling/fast ${golden.name}`, wrong, confidence, detail);
}

/** Runs a draft-and-verify trajectory; compares the acceptance of each round, and the steps. */
export async function speculativeCase(
  golden: SpeculativeCase,
  target: Model,
  draft: Model,
): Promise<ParityResult> {
  const sequence = sequenceOf(golden, target);
  const wrong: string[] = [];
  let confidence = 0;
  const pairs: [string, Predictor, Predictor][] = [
    ["canvas", target, draft],
    ["step by step", stepwise(target), stepwise(draft)],
  ];
  for (const [path, verifier, proposer] of pairs) {
    const { steps, result } = await drain(lossless(sequence, verifier, proposer, {
      ...optionsOf(golden, target),
      depth: golden.k,
    }));
    const compared = compareSteps(steps, golden.target_only_log);
    confidence = Math.max(confidence, compared.confidence);
    wrong.push(...compared.wrong.map((what) => `${path}: ${what}`));
    const counts: [string, ArrayLike<number>, ArrayLike<number>][] = [
      ["accepted per round", result.accepted, golden.accepted_per_round],
      ["drafted per round", result.proposed, golden.drafted_per_round],
      ["target forwards", [result.targetForwards], [golden.target_batched_forwards]],
      ["target states", [result.targetStates], [golden.target_rows]],
      ["draft forwards", [result.draftForwards], [golden.draft_forwards]],
      ["final ids", result.sequence.ids, golden.final[0]],
    ];
    for (const [what, found, expected] of counts) {
      if (sameNumbers(found, expected)) continue;
      wrong.push(`${path}: ${what} [${Array.from(found)}], expected [${Array.from(expected)}]`);
    }
  }
  const accepted = golden.accepted_per_round.reduce((sum, count) => sum + count, 0);
  const detail = `${golden.accepted_per_round.length} rounds, ${accepted} accepted`;
  return verdict(`speculative/step-verify ${golden.name}`, wrong, confidence, detail);
}
