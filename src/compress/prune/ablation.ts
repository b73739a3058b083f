/**
 * What a model is worth without some of its layers: agreement with the whole model, measured by
 * skipping layers while it runs.
 */

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
} from "../../evaluate/draft_agreement.ts";
import type { Model } from "../../model/model.ts";

/** What is asked of a model: the part that measuring needs. */
type Asked = Parameters<typeof choicesAt>[0];

/** States in which models are compared, and what the whole model chooses there. */
export interface AgreementStates {
  readonly byRatio: readonly {
    readonly maskRatio: number;
    readonly states: readonly MaskedAnswer[];
    readonly target: readonly (readonly Chosen[])[];
  }[];
  /** Number of states. */
  readonly count: number;
}

/** A measurement without some layers. */
export interface Ablation extends DraftFigures {
  /** Layers that were skipped, ascending. */
  readonly skipped: readonly number[];
}

/**
 * Masks examples and asks the whole model.
 * @param progress told the number of states that are done
 */
export async function agreementStates(
  target: Asked,
  examples: readonly AnsweredPrompt[],
  masking: MaskingOptions,
  progress?: (done: number) => void,
): Promise<AgreementStates> {
  const byRatio: AgreementStates["byRatio"][number][] = [];
  for (const maskRatio of DRAFT_RATIOS) {
    const states = examples.map((example) => maskAnswer(example, maskRatio, masking));
    const before = byRatio.length * examples.length;
    const chosen = await choicesAt(target, states, (done) => progress?.(before + done));
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

/** Measures the model without some layers; no weights are copied. */
export async function ablate(
  model: Pick<Model, "onlyLayers" | "config">,
  states: AgreementStates,
  skipped: readonly number[],
  progress?: (done: number) => void,
): Promise<Ablation> {
  const all = [...Array(model.config.layers).keys()];
  using rest = model.onlyLayers(all.filter((layer) => !skipped.includes(layer)));
  return { skipped, ...await agreementOn(states, rest, progress) };
}

/**
 * Every layer alone, then every contiguous block of each length; a length that leaves no layer has
 * none.
 * @returns layers that are skipped together
 */
export function contiguousBlocks(layers: number, lengths: readonly number[]): number[][] {
  return [...new Set([1, ...lengths])].sort((a, b) => a - b).filter((length) => length < layers)
    .flatMap((length) =>
      Array.from(
        { length: layers - length + 1 },
        (_, first) => Array.from({ length }, (_, i) => first + i),
      )
    );
}
