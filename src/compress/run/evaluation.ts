/**
 * Evaluation of the weights of a run on held-out answers: how often they choose the teacher's token,
 * or without a teacher the answer's own.
 */

import type { Predictor } from "../../denoise/predictor.ts";
import {
  type AnsweredPrompt,
  choicesAt,
  type Chosen,
  countAgreement,
  DRAFT_RATIOS,
  draftFigures,
  maskAnswer,
  type MaskedAnswer,
  type MaskingOptions,
} from "../../evaluate/draft_agreement.ts";
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
 */
export async function evaluationOf(
  examples: readonly AnsweredPrompt[],
  options: MaskingOptions,
  teacher: Predictor | undefined,
  student: Predictor,
): Promise<() => Promise<Evaluation>> {
  const states = DRAFT_RATIOS.map((ratio) =>
    examples.map((example) => maskAnswer(example, ratio, options))
  );
  const right: (readonly (readonly Chosen[])[])[] = [];
  for (const some of states) {
    right.push(teacher ? await choicesAt(teacher, some) : answersOf(examples, some));
  }
  return async () => {
    const counts = [];
    for (const [i, ratio] of DRAFT_RATIOS.entries()) {
      counts.push(countAgreement(ratio, right[i], await choicesAt(student, states[i])));
    }
    const { agreement, byRatio, confidentCorrect, confidentShare } = draftFigures(counts);
    return {
      ratios: DRAFT_RATIOS,
      agreement: byRatio.map(({ agreement }) => agreement),
      average: agreement,
      // JSON has no NaN.
      confidentCorrect: Number.isNaN(confidentCorrect) ? null : confidentCorrect,
      sureShare: confidentShare,
    };
  };
}

/** What an all-knowing teacher would choose. */
function answersOf(
  examples: readonly AnsweredPrompt[],
  states: readonly MaskedAnswer[],
): Chosen[][] {
  return states.map(({ positions }, i) => {
    const { prompt, answer } = examples[i];
    return Array.from(
      positions,
      (position) => ({ token: answer[position - prompt.length], confidence: 1 }),
    );
  });
}
