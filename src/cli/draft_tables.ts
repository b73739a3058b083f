/** The report of `unmask eval agreement --draft` as tables, as a page and as a picture. */

import { FittedTable } from "../bench/fitted_table.ts";
import type { Gpu } from "../gpu/device.ts";
import { CURVE_COLOURS, drawChart, type Panel } from "./chart.ts";
import type { DraftReport } from "./draft_report.ts";
import type { Image } from "./trace_picture/draw_quads.ts";

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
