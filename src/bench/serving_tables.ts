/** The report of `unmask bench serving` as tables. */

import { NO_CACHE } from "../denoise/cache_plan.ts";
import { QUALITIES, strategyOf } from "../denoise/strategy.ts";
import { sumsByName } from "../engine/stats.ts";
import { FittedTable } from "./fitted_table.ts";
import type { SharedStep, StepKind } from "./shared_pass.ts";
import type { ServedLevel, ServedSetting, ServingBench, Spread } from "./serving.ts";
import { autoAmong, fastest } from "./strategies.ts";

const spread = ({ p50, p95 }: Spread) => `${p50.toFixed(0)}, ${p95.toFixed(0)}`;
const clientsOf = (count: number) => count === 1 ? "1 client" : `${count} clients`;
const times = (ratio: number) => `${ratio.toFixed(2)} x`;

/** The tables, and the sentences between them. */
export function servingTables(bench: ServingBench): string {
  return [
    `${servedTable(bench)}`,
    ...bench.settings.map((setting) => settingSentence(bench, setting)),
    ...bench.settings.flatMap(choiceSentences),
    ...autoComparisons(bench).map(({ concurrency, name, best, ratio }) =>
      `${name}, ${clientsOf(concurrency)}: ${
        (100 * ratio).toFixed(0)
      }% of the tokens/s of the best ` +
      `fixed strategy, ${best}`
    ),
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
 * The least p95 until first text, to that of one client, of all requests at once: the work before the
 * texts of 95% of them, done as fast as shared steps go.
 */
export function leastFirstToAlone(
  bench: ServingBench,
  setting: ServedSetting,
): number | undefined {
  const kinds = boundsOf(setting);
  if (!kinds) return undefined;
  const [{ fastest: alone }] = setting.levels;
  const gain = possibleGain(bench.shared, bench.requests, kinds);
  return Math.max(1, alone.firstMillisecondsOf95 / gain / alone.firstMilliseconds.p95);
}

/**
 * The kinds of steps that bound a setting. With a cache some steps run whole sequences and the others
 * blocks: the kind that gains more bounds both. Unknown where a draft has passes too, or may have.
 */
function boundsOf({ strategy, cache = NO_CACHE }: ServedSetting): readonly StepKind[] | undefined {
  if (strategy === "auto" || strategyOf(strategy).needsDraft) return undefined;
  return cache === NO_CACHE ? ["whole"] : ["whole", "block"];
}

/** How much of what shared steps could gain a level gained. */
export function shareOfPossible(
  { shared }: ServingBench,
  setting: ServedSetting,
  { concurrency, toAlone }: ServedLevel,
): number | undefined {
  const kinds = boundsOf(setting);
  return concurrency === 1 || !kinds
    ? undefined
    : toAlone / possibleGain(shared, concurrency, kinds);
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

function settingSentence(bench: ServingBench, setting: ServedSetting): string {
  const { name, answers, different, mayDiffer } = setting;
  const same = `${name}: ${answers - different} of ${answers} answers were those of one alone` +
    (mayDiffer ? "; what it chooses follows measured times" : ", bit by bit");
  const most = setting.levels.at(-1)!.concurrency;
  const least = leastFirstToAlone(bench, setting);
  // With fewer clients some requests begin when others have had their text.
  if (most < bench.requests || least === undefined) return same;
  return `${same}; first text of ${bench.requests} at once: p95 to one at least ${
    times(least)
  }, by ` +
    "the work before it and what shared steps gain";
}

/** What auto chose, all rounds together. */
function choiceSentences({ name, levels }: ServedSetting): string[] {
  return levels.flatMap(({ concurrency, rounds }) => {
    const choices = Object.entries(sumsByName(rounds.map(({ choices }) => choices)));
    if (choices.length === 0) return [];
    const told = choices.toSorted(([, a], [, b]) => b - a)
      .map(([choice, steps]) => `${choice} (${steps} steps)`);
    return [`${name}, ${clientsOf(concurrency)}, chose ${told.join("; ")}`];
  });
}

/** Speed of auto by so many clients, to that of the fastest strategy that it may choose. */
export interface ServedComparison {
  readonly name: string;
  readonly concurrency: number;
  readonly best: string;
  /** Tokens a second to those of the best. */
  readonly ratio: number;
}

/** Compares each quality of auto with the fixed strategies of the same run. */
export function autoComparisons({ settings }: Pick<ServingBench, "settings">): ServedComparison[] {
  return QUALITIES.flatMap((quality) => {
    const found = autoAmong(quality, settings);
    if (!found) return [];
    const { auto, fixed } = found;
    return auto.levels.map(({ concurrency, tokensPerSecond }, level) => {
      const speed = ({ levels }: ServedSetting) => levels[level].tokensPerSecond;
      const best = fastest(fixed, speed);
      return {
        name: auto.name,
        concurrency,
        best: best.name,
        ratio: tokensPerSecond / speed(best),
      };
    });
  });
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
