/** The report of `unmask eval agreement --draft`: as JSON, as tables, and as a picture. */

import { FittedTable } from "../bench/fitted_table.ts";
import { addAcceptances, type DraftAcceptance } from "../evaluate/draft_acceptance.ts";
import {
  addAgreements,
  calibrationError,
  type ConfidenceBin,
  type DraftAgreement,
  draftFigures,
} from "../evaluate/draft_agreement.ts";
import type { Gpu } from "../gpu/device.ts";
import { CURVE_COLOURS, drawChart, type Panel } from "./chart.ts";
import { type DraftCost, expectedSpeed } from "./draft_cost.ts";
import type { Image } from "./trace_picture/draw_quads.ts";

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

const share = (value: number | null) => value === null ? "-" : value.toFixed(4);

/** Columns of the table in a draft's card, and its row. */
function cardTable({ draft, agreement, by_mask, confident_correct, confident_share }: DraftReport) {
  return {
    head: [
      "Draft",
      "Avg agree",
      ...by_mask.map(({ mask_ratio }) => `Agree@${mask_ratio}`),
      "Confident-correct",
      "Confident",
    ],
    rows: [[
      draft,
      share(agreement),
      ...by_mask.map((one) => share(one.agreement)),
      share(confident_correct),
      share(confident_share),
    ]],
  };
}

function calibrationTable({ calibration: { bins } }: DraftReport) {
  return {
    head: ["Confidence", "Positions", "Mean confidence", "Agreement"],
    rows: bins.filter(({ positions }) => positions > 0).map((bin) => [
      `${bin.from.toFixed(1)} to ${bin.to.toFixed(1)}`,
      `${bin.positions}`,
      share(bin.confidence),
      share(bin.agreement),
    ]),
  };
}

function strategyTable({ strategies }: NonNullable<DraftReport["acceptance"]>) {
  return {
    head: [
      "Strategy",
      "Accepted a round",
      "Tokens a round",
      "Draft passes",
      "Target states",
      "Expected speed",
    ],
    rows: strategies.map((one) => [
      one.name,
      one.accepted_per_round.toFixed(2),
      one.tokens_per_round.toFixed(2),
      one.draft_passes_per_round.toFixed(2),
      one.target_states_per_round.toFixed(2),
      one.expected_speed === null ? "-" : `${one.expected_speed.toFixed(2)} x`,
    ]),
  };
}

function rankTable({ by_rank }: NonNullable<DraftReport["acceptance"]>) {
  const asked = by_rank.map((rank, i) => ({ ...rank, i })).filter(({ states }) => states > 0);
  return {
    head: ["Rank", ...asked.map(({ i }) => `${i + 1}`)],
    rows: [["Agreement", ...asked.map(({ agreement }) => agreement!.toFixed(3))]],
  };
}

/** Tables and the sentences between them, for a terminal or for Markdown. */
function told(
  report: DraftReport,
  table: (parts: { readonly head: string[]; readonly rows: string[][] }) => string,
): string[] {
  const { acceptance, cost, calibration, examples, data, seed, response_length } = report;
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  return [
    `${examples} examples of ${
      data.join(", ")
    }, responses padded to ${response_length} and masked ` +
    `at random with seed ${seed}; weights ${report.weights}; ${report.adapter}.`,
    table(cardTable(report)),
    `Confidence of the draft against agreement with the target, all mask ratios: expected ` +
    `calibration error ${share(calibration.expected_error)}.`,
    table(calibrationTable(report)),
    `A pass of the draft costs ${percent(cost.multiplications)} of the target's in ` +
    `multiplications, ${percent(cost.time)} in time.`,
    ...acceptance
      ? [
        `States of ${acceptance.answers} answers of the target, ${acceptance.steps} steps; ` +
        "agreement by rank in the order of its commits:",
        table(rankTable(acceptance)),
        table(strategyTable(acceptance)),
      ]
      : [],
  ];
}

/** The report for a terminal. */
export function draftTables(report: DraftReport): string {
  const parts = told(report, ({ head, rows }) => {
    const table = new FittedTable({ head, rules: "head" });
    table.push(...rows);
    return `${table}`;
  });
  return [`${report.draft} as a draft of ${report.target}`, ...parts].join("\n");
}

/** The report as a page of Markdown. */
export function draftMarkdown(report: DraftReport): string {
  const parts = told(report, ({ head, rows }) => {
    const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
    return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
  });
  return `${[`# ${report.draft} as a draft of ${report.target}`, ...parts].join("\n\n")}\n`;
}

/** Panels of the picture: agreement by confidence beside the diagonal, and positions by confidence. */
export function calibrationPanels({ calibration: { bins } }: DraftReport): Panel[] {
  const x = { low: 0, high: 1, label: "confidence of the draft" };
  const [ink, blue, , orange] = CURVE_COLOURS;
  const counts = bins.map(({ from, to, positions }) => ({
    x: (from + to) / 2,
    y: positions === 0 ? 0 : Math.log10(positions),
  }));
  // Whole numbers beside the lines across a panel.
  const high = 4 * Math.ceil(Math.max(...counts.map(({ y }) => y)) / 4);
  return [{
    x,
    y: { low: 0, high: 1, label: "agreement with the target" },
    curves: [
      {
        label: "perfectly calibrated",
        colour: ink,
        points: [{ x: 0, y: 0 }, { x: 1, y: 1 }],
      },
      {
        label: "measured, by bins of 0.1",
        colour: blue,
        points: bins.filter(({ positions }) => positions > 0).map((bin) => ({
          x: bin.confidence!,
          y: bin.agreement!,
        })),
        marked: true,
      },
    ],
  }, {
    x,
    y: { low: 0, high, label: "positions (logarithm to base 10)" },
    curves: [{
      label: "positions of a bin",
      colour: orange,
      points: counts,
      marked: true,
    }],
  }];
}

/** Draws how well the draft is calibrated. @throws {GpuError} when the device fails */
export function drawCalibration(gpu: Gpu, report: DraftReport): Promise<Image> {
  return drawChart(gpu, `${report.draft}: calibration`, calibrationPanels(report));
}
