/** The report of `unmask eval agreement --draft`, as JSON. */

import { addAcceptances, type DraftAcceptance } from "../evaluate/draft_acceptance.ts";
import {
  addAgreements,
  calibrationError,
  type ConfidenceBin,
  type DraftAgreement,
  draftFigures,
} from "../evaluate/draft_agreement.ts";
import { type DraftCost, expectedSpeed } from "./draft_cost.ts";

/** What was compared, and where. */
interface Compared {
  readonly draft: string;
  readonly target: string;
  readonly weights: string;
  readonly data: readonly string[];
  readonly examples: number;
  readonly response_length: number;
  readonly seed: number;
  readonly adapter: string;
}

/** The report that `--json` prints and `--out` keeps. A share of nothing is null. */
export interface DraftReport extends Compared {
  readonly agreement: number | null;
  readonly confident_correct: number | null;
  readonly confident_share: number | null;
  readonly by_mask: readonly {
    readonly mask_ratio: number;
    readonly positions: number;
    readonly same_token: number;
    readonly agreement: number | null;
    readonly confident: number;
    readonly same_confident: number;
  }[];
  readonly calibration: {
    readonly expected_error: number | null;
    readonly bins: readonly {
      readonly from: number;
      readonly to: number;
      readonly positions: number;
      readonly confidence: number | null;
      readonly agreement: number | null;
    }[];
  };
  readonly cost: {
    readonly multiplications: number;
    readonly time: number;
    readonly draft_ms: number;
    readonly target_ms: readonly { readonly states: number; readonly ms: number }[];
  };
  /** Absent where no answer was made. */
  readonly acceptance?: {
    readonly answers: number;
    readonly steps: number;
    readonly tokens: number;
    readonly by_rank: readonly { readonly states: number; readonly agreement: number | null }[];
    readonly strategies: readonly StrategyRow[];
  };
}

interface StrategyRow {
  readonly name: string;
  readonly rounds: number;
  readonly proposed: number;
  readonly accepted: number;
  readonly committed: number;
  readonly accepted_per_round: number;
  readonly tokens_per_round: number;
  readonly draft_passes_per_round: number;
  readonly target_states_per_round: number;
  /**
   * By the measured costs, to the target alone ({@linkcode expectedSpeed}); null for `order`, which is
   * no strategy: one pass of the target over one state does not verify an order.
   */
  readonly expected_speed: number | null;
}

/** Makes the report of all examples. */
export function draftReport(
  results: readonly {
    readonly agreements: readonly DraftAgreement[];
    readonly acceptance?: DraftAcceptance;
  }[],
  cost: DraftCost,
  compared: Compared,
): DraftReport {
  const byRatio = results[0].agreements.map((_, i) =>
    addAgreements(results.map(({ agreements }) => agreements[i]))
  );
  const figures = draftFigures(byRatio);
  const { bins } = addAgreements(byRatio);
  const acceptances = results.flatMap(({ acceptance }) => acceptance ?? []);
  return {
    ...compared,
    agreement: known(figures.agreement),
    confident_correct: known(figures.confidentCorrect),
    confident_share: known(figures.confidentShare),
    by_mask: byRatio.map((one) => ({
      mask_ratio: one.maskRatio,
      positions: one.positions,
      same_token: one.sameToken,
      agreement: known(one.sameToken / one.positions),
      confident: one.confident,
      same_confident: one.sameConfident,
    })),
    calibration: {
      expected_error: known(calibrationError(bins)),
      bins: bins.map(({ positions, sameToken, confidence }: ConfidenceBin, i) => ({
        from: i / bins.length,
        to: (i + 1) / bins.length,
        positions,
        confidence: known(confidence / positions),
        agreement: known(sameToken / positions),
      })),
    },
    cost: {
      multiplications: cost.multiplications,
      time: cost.time,
      draft_ms: cost.draftMilliseconds,
      target_ms: cost.targetMilliseconds.map(({ states, milliseconds }) => ({
        states,
        ms: milliseconds,
      })),
    },
    ...acceptances.length > 0 && {
      acceptance: acceptanceReport(addAcceptances(acceptances), acceptances.length, cost),
    },
  };
}

function acceptanceReport(
  { steps, tokens, byRank, rounds }: DraftAcceptance,
  answers: number,
  cost: DraftCost,
): NonNullable<DraftReport["acceptance"]> {
  return {
    answers,
    steps,
    tokens,
    by_rank: byRank.map(({ states, same }) => ({ states, agreement: known(same / states) })),
    strategies: Object.entries(rounds).map(([name, count]) => ({
      name,
      rounds: count.rounds,
      proposed: count.proposed,
      accepted: count.accepted,
      committed: count.committed,
      accepted_per_round: count.accepted / count.rounds,
      tokens_per_round: count.committed / count.rounds,
      draft_passes_per_round: count.draftPasses / count.rounds,
      target_states_per_round: count.targetStates / count.rounds,
      expected_speed: name === "order" ? null : expectedSpeed(count, cost, tokens / steps),
    })),
  };
}

/** JSON has no NaN: a share of nothing is null. */
function known(share: number): number | null {
  return Number.isNaN(share) ? null : share;
}
