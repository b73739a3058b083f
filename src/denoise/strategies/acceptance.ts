/** Counts which proposals a target accepted, by depth, mask ratio and position. */

import type { Commit } from "../predictor.ts";
import { generationLength, maskedPositions, type Sequence } from "../sequence.ts";

/** Numbers of judged and of accepted proposals. */
export interface AcceptanceCount {
  /** Proposals that were judged. */
  readonly proposed: number;
  /** Proposals that were accepted. */
  readonly accepted: number;
}

/**
 * Counts of the proposed tokens that the target judged. Proposals after the first rejected step of
 * a round were made for a state that was never reached. They are not judged and not counted.
 */
export interface AcceptanceTally {
  /** `[d - 1]` for the proposals of a round's step d, from 1. */
  readonly byDepth: readonly AcceptanceCount[];
  /**
   * `[floor(10 r)]`, r the masked share of the generation before the step; 1 is in the last bin.
   */
  readonly byMaskRatio: readonly AcceptanceCount[];
  /** By position in the generation, up to the last one proposed. */
  readonly byPosition: readonly AcceptanceCount[];
}

/** One judged proposal. */
export interface JudgedProposal {
  /** Step of the round that it was made for, from 1. */
  readonly depth: number;
  /** Masked share of the generation in the state that it was made for. */
  readonly maskRatio: number;
  /** Position in the generation. */
  readonly position: number;
  /** Whether the target committed this token there at that step. */
  readonly accepted: boolean;
}

/** Bins of {@linkcode AcceptanceTally.byMaskRatio}. */
const MASK_RATIO_BINS = 10;

const NONE: AcceptanceCount = { proposed: 0, accepted: 0 };

/** The tally of no proposals. */
export const NO_ACCEPTANCE: AcceptanceTally = {
  byDepth: [],
  byMaskRatio: new Array<AcceptanceCount>(MASK_RATIO_BINS).fill(NONE),
  byPosition: [],
};

/**
 * Judges the proposals for one step by the target's own commits at that step.
 * @param state state before the step; proposals in its prompt are left out
 */
export function judgeProposals(
  state: Sequence,
  depth: number,
  proposals: readonly Commit[],
  own: readonly Commit[],
): JudgedProposal[] {
  const { ids, promptLength } = state;
  const masked = maskedPositions(state, ids.length).filter((position) => position >= promptLength);
  const maskRatio = masked.length / generationLength(state);
  return proposals
    .filter(({ position }) => position >= promptLength)
    .map(({ position, token }) => ({
      depth,
      maskRatio,
      position: position - promptLength,
      accepted: own.some((commit) => commit.position === position && commit.token === token),
    }));
}

/** Adds proposals to a tally. */
export function recordProposals(
  tally: AcceptanceTally,
  judged: readonly JudgedProposal[],
): AcceptanceTally {
  const byDepth = [...tally.byDepth];
  const byMaskRatio = [...tally.byMaskRatio];
  const byPosition = [...tally.byPosition];
  for (const { depth, maskRatio, position, accepted } of judged) {
    const one = { proposed: 1, accepted: accepted ? 1 : 0 };
    const bin = Math.min(MASK_RATIO_BINS - 1, Math.floor(MASK_RATIO_BINS * maskRatio));
    addTo(byDepth, depth - 1, one);
    addTo(byMaskRatio, bin, one);
    addTo(byPosition, position, one);
  }
  return { byDepth, byMaskRatio, byPosition };
}

/** Adds two tallies. */
export function mergeTallies(a: AcceptanceTally, b: AcceptanceTally): AcceptanceTally {
  const merged = (name: keyof AcceptanceTally) => {
    const counts = [...a[name]];
    b[name].forEach((count, i) => addTo(counts, i, count));
    return counts;
  };
  return {
    byDepth: merged("byDepth"),
    byMaskRatio: merged("byMaskRatio"),
    byPosition: merged("byPosition"),
  };
}

function addTo(counts: AcceptanceCount[], at: number, more: AcceptanceCount): void {
  while (counts.length <= at) counts.push(NONE);
  const { proposed, accepted } = counts[at];
  counts[at] = { proposed: proposed + more.proposed, accepted: accepted + more.accepted };
}
