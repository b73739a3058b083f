/**
 * What a model is worth without some of its layers: agreement with the whole model, measured by
 * skipping layers while it runs.
 */

import { agreementOn, type AgreementStates } from "../../evaluate/agreement_states.ts";
import type { DraftFigures } from "../../evaluate/draft_agreement.ts";
import type { Model } from "../../model/model.ts";

/** A measurement without some layers. */
export interface Ablation extends DraftFigures {
  /** Layers that were skipped, ascending. */
  readonly skipped: readonly number[];
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
