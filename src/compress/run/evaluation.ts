/**
 * Evaluation of the weights of a run on held-out answers: how often they choose the teacher's token,
 * or without a teacher the answer's own.
 */

import type { Predictor } from "../../denoise/predictor.ts";
import { agreementOn, agreementStates } from "../../evaluate/agreement_states.ts";
import type { AnsweredPrompt, MaskingOptions } from "../../evaluate/draft_agreement.ts";
import type { Sample } from "../data/sample.ts";
import type { Evaluation } from "./history.ts";

/** Examples to evaluate with: prompt and answer of each sample that has both. */
export function answeredPrompts(samples: readonly Sample[]): AnsweredPrompt[] {
  return samples.filter(({ promptLength }) => promptLength > 0)
    .map(({ ids, promptLength }) => ({
      prompt: ids.subarray(0, promptLength),
      answer: ids.subarray(promptLength),
    }));
}

/**
 * Prepares evaluations: the states are the same each time, so the teacher is asked once.
 * @param teacher absent: the answers themselves are what is right
 * @param student predicts with the weights as they are when it is asked
 * @param ratios mask ratios that are evaluated
 */
export async function evaluationOf(
  examples: readonly AnsweredPrompt[],
  options: MaskingOptions,
  teacher: Predictor | undefined,
  student: Predictor,
  ratios: readonly number[],
): Promise<() => Promise<Evaluation>> {
  const states = await agreementStates(teacher, examples, options, undefined, ratios);
  return async () => {
    const { agreement, byRatio, confidentCorrect, confidentShare } = await agreementOn(
      states,
      student,
    );
    return {
      ratios: byRatio.map(({ maskRatio }) => maskRatio),
      agreement: byRatio.map(({ agreement }) => agreement),
      average: agreement,
      // JSON has no NaN.
      confidentCorrect: Number.isNaN(confidentCorrect) ? null : confidentCorrect,
      sureShare: confidentShare,
    };
  };
}
