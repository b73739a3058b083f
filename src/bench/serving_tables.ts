/** The report of `unmask bench serving` as tables. */

import { NO_CACHE } from "../denoise/cache_plan.ts";
import { strategyOf } from "../denoise/strategy.ts";
import { FittedTable } from "./fitted_table.ts";
import type { SharedStep, StepKind } from "./shared_pass.ts";
import type { ServedLevel, ServedSetting, ServingBench, Spread } from "./serving.ts";

const spread = ({ p50, p95 }: Spread) => `${p50.toFixed(0)}, ${p95.toFixed(0)}`;
const times = (ratio: number) => `${ratio.toFixed(2)} x`;

/** The tables, and the sentences between them. */
export function servingTables(bench: ServingBench): string {
  return [
    `${servedTable(bench)}`,
    ...bench.settings.map(sameness),
    `${bench.model} on ${bench.adapter}; ${bench.requests} requests by each number of clients, the ` +
    `fastest of ${bench.rounds} rounds, in which all take their turns`,
    `${passTable(bench)}`,
    boundSentence(bench),
  ].join("\n");
}

/**
 * Times that so many clients could be as fast as one, if every step were shared: by the best number of
 * sequences up to theirs, since more clients can take turns in smaller groups.
 */
export function possibleGain(
  shared: readonly SharedStep[],
  clients: number,
  kinds: readonly StepKind[],
): number {
  const fitting = shared.filter(({ kind, sequences }) =>
    sequences <= clients && kinds.includes(kind)
  );
  return Math.max(...fitting.map(({ gain }) => gain));
}

/**
 * How much of what shared steps could gain a level gained. With a cache some steps run whole sequences
 * and the others blocks: the kind that gains more bounds both. Not told where a draft has passes too.
 */
export function shareOfPossible(
  { shared }: ServingBench,
  { strategy, cache = NO_CACHE }: ServedSetting,
  { concurrency, toAlone }: ServedLevel,
): number | undefined {
  if (concurrency === 1 || strategyOf(strategy).needsDraft) return undefined;
  const kinds: StepKind[] = cache === NO_CACHE ? ["whole"] : ["whole", "block"];
  return toAlone / possibleGain(shared, concurrency, kinds);
}

function servedTable(bench: ServingBench): FittedTable {
  const table = new FittedTable({
    head: [
      "strategy",
      "clients",
      "answers/s",
      "tokens/s",
      "to one",
      "of possible",
      "requests a pass",
      "rows a pass",
      "first text ms: p50, p95",
      "p95 to one",
      "total ms: p50, p95",
    ],
    rules: "head",
  });
  for (const setting of bench.settings) {
    for (const level of setting.levels) {
      const possible = shareOfPossible(bench, setting, level);
      const { fastest } = level;
      table.push([
        setting.name,
        level.concurrency,
        level.answersPerSecond.toFixed(2),
        level.tokensPerSecond.toFixed(1),
        times(level.toAlone),
        possible === undefined ? "" : `${(100 * possible).toFixed(0)}%`,
        fastest.requestsPerPass.toFixed(1),
        fastest.rowsPerPass.toFixed(0),
        spread(fastest.firstMilliseconds),
        times(level.firstToAlone),
        spread(fastest.totalMilliseconds),
      ]);
    }
  }
  return table;
}

function sameness({ name, answers, different, mayDiffer }: ServedSetting): string {
  const same = `${name}: ${answers - different} of ${answers} answers`;
  return mayDiffer
    ? `${same} were those of one alone; what it chooses follows measured times`
    : `${same} were those of one alone, bit by bit`;
}

function passTable({ passes, shared, typicalRows }: ServingBench): FittedTable {
  const table = new FittedTable({
    head: ["pass", "rows", "ms", "rows/s", "to as many apart"],
    rules: "head",
  });
  const rate = (rows: number, milliseconds: number) => (1000 * rows / milliseconds).toFixed(0);
  for (const { rows, milliseconds } of passes) {
    table.push(["one sequence", rows, milliseconds.toFixed(1), rate(rows, milliseconds), ""]);
  }
  for (const { kind, sequences, rows, milliseconds, gain } of shared) {
    const each = kind === "whole" ? `${typicalRows} rows` : `a block against ${typicalRows} keys`;
    table.push([
      `step of ${sequences} x ${each}`,
      rows,
      milliseconds.toFixed(1),
      rate(rows, milliseconds),
      times(gain),
    ]);
  }
  return table;
}

function boundSentence({ passes, shared }: ServingBench): string {
  const [few, many] = [passes[0], passes.at(-1)!];
  const gain = many.rows / few.rows * few.milliseconds / many.milliseconds;
  const most = (kind: StepKind) => times(possibleGain(shared, Infinity, [kind]));
  return `A pass of ${many.rows} rows does ${times(gain)} as many rows a second as one of ` +
    `${few.rows}; requests whose steps are all shared can be ${
      most("whole")
    } as fast as one at a ` +
    `time, ${most("block")} where the steps are of cached blocks`;
}
