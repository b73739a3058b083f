/** The figures of faults as a table, as README files have them. */

import type { Outcome } from "./fault.ts";

const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(2)} s`;
const counted = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts).sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, count]) => `${count} ${name}`).join(", ");

const HEAD = [
  "fault",
  "times",
  "outcome",
  "slowest",
  "answers beside it",
  "slowest",
  "next answer",
  "files",
  "memory, MiB",
  "wrong",
];

function cells(outcome: Outcome): readonly string[] {
  const { load, files, memory } = outcome;
  const told = Object.keys(load.told).length > 0 ? `, told: ${counted(load.told)}` : "";
  return [
    outcome.kind,
    `${outcome.count}`,
    counted(outcome.outcomes),
    seconds(outcome.worst),
    `${load.right} right${told}`,
    seconds(load.slowest),
    seconds(outcome.next),
    files.join(" → "),
    memory.map((one) => one.toFixed(0)).join(" → "),
    `${outcome.wrong.length}`,
  ];
}

/** A table in Markdown; files before and after, memory before, at most and after. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const rows = [HEAD, ...outcomes.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [line(rows[0]), line(rule), ...rows.slice(1).map(line)].join("\n");
}
