/** The report of `unmask bench simulate` as tables. */

import { FittedTable } from "../fitted_table.ts";
import { CLIENTS, SHOWN, type SimulatedPoint, type SimulationReport } from "./simulate.ts";

/** Prints a report as tables. */
export function printSimulation({ answers, server, curves }: SimulationReport): void {
  for (const { name, model, device, source, draft, clients, loads } of curves) {
    console.log(`\n${name}: ${model} on ${device}; ${source}`);
    console.log(`draft: ${draft.model}; ${draft.source}`);
    const full = new FittedTable({
      head: [
        "answers",
        "answers/s, 1 client",
        `${CLIENTS} clients`,
        "times",
        "bound",
        "rows/pass",
        "first text p95 s, 1 client",
        `${CLIENTS} clients`,
      ],
    });
    for (const { setting, alone, shared, times, bound } of clients) {
      full.push([
        setting,
        number(alone.answersPerSecond),
        number(shared.answersPerSecond),
        times.toFixed(2),
        bound.toFixed(2),
        shared.rowsPerPass.toFixed(0),
        number(alone.firstText.p95 / 1000),
        number(shared.firstText.p95 / 1000),
      ]);
    }
    console.log(`${full}`);
    for (const { answers, capacity, points } of loads) {
      console.log(`${answers}, mixed:\n${loadTable(points)}`);
      console.log(`x: of the ${number(capacity)} answers/s of one at a time`);
    }
  }
  const { readback, hostWork, mostRows, mostWaiting } = server;
  console.log(
    `\nSimulated, not measured. Answers: ${answers}. Assumed: ${readback} ms to read a pass back, ` +
      `${hostWork} ms of the host for each job, ${mostRows} rows a pass at most, ${mostWaiting} ` +
      "requests waiting at most.",
  );
}

function loadTable(points: readonly SimulatedPoint[]): FittedTable {
  const table = new FittedTable({
    head: [
      "requests/s",
      "way",
      "answers/s",
      "refused",
      "first text: p50 s",
      "p95",
      "p99",
      "total: p50 s",
      "p95",
      "p99",
    ],
  });
  for (const { arrivals, perSecond, load, outcomes } of points) {
    if (!SHOWN[arrivals].includes(load)) continue;
    const times = load === undefined ? "" : ` (${load} x)`;
    for (const [way, outcome] of Object.entries(outcomes)) {
      const { answersPerSecond, asked, refused, firstText, total } = outcome;
      table.push([
        `${number(perSecond)}${times}, ${arrivals}`,
        way,
        number(answersPerSecond),
        `${(100 * refused / asked).toFixed(0)}%`,
        ...[firstText, total].flatMap(({ p50, p95, p99 }) =>
          [p50, p95, p99].map((milliseconds) => number(milliseconds / 1000))
        ),
      ]);
    }
  }
  return table;
}

function number(value: number): string {
  return value >= 99.95 ? value.toFixed(0) : value.toPrecision(3);
}
