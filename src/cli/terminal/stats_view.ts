/** Formats statistics as text and tables. */

import { NO_CACHE } from "../../denoise/cache_plan.ts";
import type { AcceptanceCount, AcceptanceTally } from "../../denoise/strategies/acceptance.ts";
import type {
  EngineTotals,
  GenerateEvent,
  GenerateStats,
  PassStats,
  Usage,
} from "../../engine/request.ts";
import { FittedTable, terminalColumns } from "../../bench/fitted_table.ts";

/** Positions of the generation that are summed in one line. */
const POSITIONS_PER_LINE = 8;

/** Columns of a terminal on which the three tables of acceptance stand side by side. */
const SIDE_BY_SIDE = 80;

/** Text about one answer: its cost, what auto chose, and what was accepted. */
export function answerText({ usage, stats }: Extract<GenerateEvent, { type: "end" }>): string {
  const { strategy, cache, seed } = stats;
  const how = `strategy ${strategy}${cache === NO_CACHE ? "" : `, cache ${cache}`}`;
  return [
    `${speedText(usage, stats)}, ${stats.readbacks} readbacks, seed ${seed}`,
    how,
    ...passLines(stats),
    ...stats.choices ? choiceLines(stats) : [],
  ].join("\n");
}

/** Text about the cost of all answers together. */
export function totalsText(totals: EngineTotals): string {
  const { answers, unfinished, strategies } = totals;
  const named = Object.entries(strategies).map(([name, count]) => `${count} ${name}`).join(", ");
  const others = unfinished === 0 ? "" : `, ${unfinished} unfinished`;
  if (answers === 0) return `0 answers${others}`;
  return [
    `${answers} answers (${named})${others}: ${speedText(totals, totals)}`,
    ...passLines(totals),
  ].join("\n");
}

function speedText({ completionTokens: tokens }: Usage, { seconds, forwards }: PassStats): string {
  return `${tokens} tokens in ${seconds.toFixed(2)} s (${
    (tokens / seconds).toFixed(1)
  } tokens/s), ` +
    `${forwards} forwards (${(tokens / forwards).toFixed(2)} tokens per forward)`;
}

function passLines(stats: PassStats): string[] {
  const { forwards, targetStates, draftForwards, idleForwards, cacheRefreshes } = stats;
  const seconds = (value: number) => `${value.toFixed(2)} s`;
  const lines: [name: string, value: string][] = [
    [
      "target",
      `${seconds(stats.targetSeconds)}, ${forwards} forwards over ${targetStates} states`,
    ],
  ];
  if (draftForwards > 0) {
    lines.push(["draft", `${seconds(stats.draftSeconds)}, ${draftForwards} forwards`]);
  }
  lines.push([
    "readback",
    `${seconds(stats.readbackSeconds)} waiting for results, ${stats.readbacks} times`,
  ]);
  if (idleForwards > 0) lines.push(["idle", `${idleForwards} forwards with nothing left to do`]);
  if (cacheRefreshes > 0) lines.push(["cache", `${cacheRefreshes} refreshes`]);
  if (stats.proposed > 0) {
    const lengths = stats.acceptedLengths
      .flatMap((rounds, length) => rounds === 0 ? [] : [`${length}: ${rounds}`]);
    lines.push(
      ["accepted", share({ proposed: stats.proposed, accepted: stats.accepted })],
      ["rounds", `by how many they accepted: ${lengths.join(", ")}`],
    );
  }
  const table = stats.acceptance.byDepth.length === 0 ? [] : [acceptanceTable(stats.acceptance)];
  return [...lines.map(([name, value]) => `  ${name.padEnd(9)} ${value}`), ...table];
}

/** Table of accepted out of judged tokens, in three columns, side by side where there is room. */
function acceptanceTable({ byDepth, byMaskRatio, byPosition }: AcceptanceTally): string {
  const depth = byDepth.map((count, i): Row => [`${i + 1}`, count]);
  const masked = byMaskRatio.map((count, i): Row => [`${10 * i}-${10 * (i + 1)}%`, count]);
  const positions = Array.from(
    { length: Math.ceil(byPosition.length / POSITIONS_PER_LINE) },
    (_, i): Row => {
      const first = i * POSITIONS_PER_LINE;
      const counts = byPosition.slice(first, first + POSITIONS_PER_LINE);
      return [`${first}-${first + counts.length - 1}`, counts.reduce(plus)];
    },
  );
  const columns = [depth, masked, positions]
    .map((rows) => rows.filter(([, { proposed }]) => proposed > 0));
  const head = ["depth", "accepted", "masked", "accepted", "position", "accepted"];
  const style = { rules: "head", stream: "stderr" } as const;
  if (terminalColumns(style.stream) < SIDE_BY_SIDE) {
    return columns.map((rows, i) => {
      const table = new FittedTable({ ...style, head: head.slice(2 * i, 2 * i + 2) });
      table.push(...rows.map(([name, count]) => [name, share(count)]));
      return `${table}`;
    }).join("\n");
  }
  const table = new FittedTable({ ...style, head });
  for (let i = 0; i < Math.max(...columns.map(({ length }) => length)); i++) {
    table.push(columns.flatMap((rows) => rows[i] ? [rows[i][0], share(rows[i][1])] : ["", ""]));
  }
  return `${table}`;
}

type Row = readonly [name: string, count: AcceptanceCount];

function plus(a: AcceptanceCount, b: AcceptanceCount): AcceptanceCount {
  return { proposed: a.proposed + b.proposed, accepted: a.accepted + b.accepted };
}

function share({ proposed, accepted }: AcceptanceCount): string {
  return `${(100 * accepted / proposed).toFixed(0)}% (${accepted} of ${proposed})`;
}

/** Lines about what auto chose, and the costs it measured on this device. */
function choiceLines({ choices = {}, figures }: GenerateStats): string[] {
  const chosen = Object.entries(choices).map(([choice, steps]) => `${choice} (${steps} steps)`);
  const micro = (value: number | undefined) =>
    value === undefined ? "unknown" : `${(1000 * value).toFixed(0)} us`;
  const verify = Object.entries(figures?.verify ?? {})
    .map(([states, value]) => `${states} states ${micro(value)}`);
  const rates = Object.entries(figures?.fastRates ?? {}).toSorted(([, a], [, b]) => b - a)
    .map(([way, rate]) => `${way} ${rate.toFixed(1)}`);
  return [
    `  chose     ${chosen.join(", ")}`,
    `  learnt    per row: plain step ${micro(figures?.plainStep)}, draft step ` +
    `${micro(figures?.draftStep)}, target over ${verify.join(", ") || "several states unknown"}; ` +
    `acceptance self ${figures?.selfAcceptance.toFixed(2)}, ` +
    `draft ${figures?.draftAcceptance.toFixed(2)}`,
    ...rates.length === 0 ? [] : [`            tokens per ms and row: ${rates.join(", ")}`],
  ];
}
