/** Known answers masked at every ratio, and what is right there: asked once, for any number of drafts. */

import {
  type AnsweredPrompt,
  choicesAt,
  type Chosen,
  countAgreement,
  DRAFT_RATIOS,
  type DraftFigures,
  draftFigures,
  maskAnswer,
  type MaskedAnswer,
  type MaskingOptions,
} from "./draft_agreement.ts";

/** What is asked of a model: the part that measuring needs. */
type Asked = Parameters<typeof choicesAt>[0];

/** States in which models are compared, and what is right there. */
export interface AgreementStates {
  readonly byRatio: readonly {
    readonly maskRatio: number;
    readonly states: readonly MaskedAnswer[];
    readonly target: readonly (readonly Chosen[])[];
  }[];
  /** Number of states. */
  readonly count: number;
}

/**
 * Masks examples and asks the target.
 * @param target absent: the answers themselves are what is right
 * @param progress told the number of states that are done
 * @param ratios mask ratios of the states, each with all examples
 */
export async function agreementStates(
  target: Asked | undefined,
  examples: readonly AnsweredPrompt[],
  masking: MaskingOptions,
  progress?: (done: number) => void,
  ratios: readonly number[] = DRAFT_RATIOS,
): Promise<AgreementStates> {
  const byRatio: AgreementStates["byRatio"][number][] = [];
  for (const maskRatio of ratios) {
    const states = examples.map((example) => maskAnswer(example, maskRatio, masking));
    const before = byRatio.length * examples.length;
    const chosen = target
      ? await choicesAt(target, states, (done) => progress?.(before + done))
      : answersOf(examples, states);
    byRatio.push({ maskRatio, states, target: chosen });
  }
  return { byRatio, count: byRatio.length * examples.length };
}

/** Figures of a model on these states. @param progress told the number of states that are done */
export async function agreementOn(
  { byRatio }: AgreementStates,
  draft: Asked,
  progress?: (done: number) => void,
): Promise<DraftFigures> {
  let before = 0;
  const counts = [];
  for (const { maskRatio, states, target } of byRatio) {
    const chosen = await choicesAt(draft, states, (done) => progress?.(before + done));
    counts.push(countAgreement(maskRatio, target, chosen));
    before += states.length;
  }
  return draftFigures(counts);
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
