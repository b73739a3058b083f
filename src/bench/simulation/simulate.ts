/** `unmask bench simulate`: ways to serve many requests, compared under simulated load. */

import { CostCurve } from "../../engine/batching/cost_curve.ts";
import { FittedTable } from "../fitted_table.ts";
import { ARRIVALS, type Arrivals, arrivalTimes } from "./arrivals.ts";
import {
  ANSWERS_SOURCE,
  RECORDED_ANSWERS,
  RECORDED_CURVES,
  type RecordedAnswer,
  type RecordedCurve,
} from "./recorded.ts";
import { type LoadOutcome, SIMULATED_SERVER, simulateLoad } from "./simulated_load.ts";
import { ONE_AT_A_TIME, SHARED_PASSES, WAYS } from "./ways.ts";

/** Requests a second, in multiples of what one at a time can answer. */
export const LOADS: readonly number[] = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3];
/** Those of the table; of bursts, fewer. */
const SHOWN: Readonly<Record<Arrivals, readonly (number | undefined)[]>> = {
  poisson: [0.5, 1, 1.5, 3, undefined],
  bursty: [0.5, 1],
};
/** The most requests a second that are simulated. */
const MOST_PER_SECOND = 1000;
/** Requests of a load, and its seconds where they come faster. */
const REQUESTS = 600;
const LEAST_SECONDS = 30;
/** Clients of the comparison at full load, and their requests. */
const CLIENTS = 16;
const CLIENT_REQUESTS = 320;

/** Rows of the steps of answers that are nothing but steps against kept keys. */
const STEP_ROWS: readonly number[] = [8, 16, 32, 64];

/** Outcomes of the ways under one load. */
export interface SimulatedPoint {
  readonly arrivals: Arrivals;
  readonly perSecond: number;
  /** In multiples of what one at a time can answer; absent for the highest. */
  readonly load?: number;
  readonly outcomes: Readonly<Record<string, LoadOutcome>>;
}

/** Many clients beside one, each asking again as soon as it is answered. */
export interface ClientsPoint {
  readonly setting: string;
  readonly clients: number;
  readonly alone: LoadOutcome;
  readonly shared: LoadOutcome;
  /** Answers a second of the clients by those of one. */
  readonly times: number;
  /** The same if each row cost what a row does in the best pass that the clients can fill. */
  readonly bound: number;
}

/** All of one curve. */
export interface SimulatedCurve extends RecordedCurve {
  readonly name: string;
  /** Answers a second, one at a time. */
  readonly capacity: number;
  readonly clients: readonly ClientsPoint[];
  readonly loads: readonly SimulatedPoint[];
}

/** The report that `--json` writes. */
export interface SimulationReport {
  readonly answers: string;
  readonly server: typeof SIMULATED_SERVER;
  readonly curves: readonly SimulatedCurve[];
}

/**
 * Names of curves.
 * @throws {Error} for an unknown one, with all that exist
 */
export function chosenCurves(only?: readonly string[]): readonly string[] {
  const known = Object.keys(RECORDED_CURVES);
  const unknown = only?.filter((name) => !known.includes(name)) ?? [];
  if (unknown.length > 0) {
    throw new Error(`no curve is called ${unknown.join(", ")}; there are ${known.join(", ")}`);
  }
  return known.filter((name) => only?.includes(name) ?? true);
}

/** How much is simulated. */
export interface SimulationSize {
  /** In multiples of what one at a time can answer. */
  readonly loads?: readonly number[];
  /** A load lasts as long as this many take to come, and no shorter than a time. */
  readonly requests?: number;
  readonly leastSeconds?: number;
}

/** Simulates every load on every curve. */
export function simulate(
  names: readonly string[],
  size: SimulationSize = {},
  seed = 0,
): SimulationReport {
  const curves = names.map((name) => simulatedCurve(name, RECORDED_CURVES[name], size, seed));
  return { answers: ANSWERS_SOURCE, server: SIMULATED_SERVER, curves };
}

function simulatedCurve(
  name: string,
  recorded: RecordedCurve,
  { loads: multiples = LOADS, requests = REQUESTS, leastSeconds = LEAST_SECONDS }: SimulationSize,
  seed: number,
): SimulatedCurve {
  const server = { ...SIMULATED_SERVER, curve: CostCurve.from(recorded.points) };
  const settings = [...new Set(RECORDED_ANSWERS.map(({ setting }) => setting))];
  const ofSettings = settings.map((setting) => ({
    setting,
    answers: RECORDED_ANSWERS.filter((answer) => answer.setting === setting),
  }));
  const steps = STEP_ROWS.map((rows) => ({
    setting: `steps of ${rows} rows alone`,
    answers: [stepsOf(rows)],
  }));
  const clients = [...steps, ...ofSettings, { setting: "all", answers: RECORDED_ANSWERS }].map(
    ({ setting, answers }): ClientsPoint => {
      const run = (way: typeof SHARED_PASSES, clients: number) =>
        simulateLoad(
          way,
          answers,
          { clients, requests: Math.min(CLIENT_REQUESTS, requests) },
          server,
          seed,
        );
      const alone = run(ONE_AT_A_TIME, 1);
      const shared = run(SHARED_PASSES, CLIENTS);
      return {
        setting,
        clients: CLIENTS,
        alone,
        shared,
        times: shared.answersPerSecond / alone.answersPerSecond,
        bound: boundOf(alone, answers, server.curve),
      };
    },
  );
  const capacity = clients[clients.length - 1].alone.answersPerSecond;
  const rates = [
    ...multiples.map((load) => ({ load, perSecond: load * capacity })),
    { load: undefined, perSecond: MOST_PER_SECOND },
  ];
  const loads = ARRIVALS.flatMap((arrivals) =>
    rates.map(({ load, perSecond }): SimulatedPoint => {
      const seconds = Math.max(leastSeconds, requests / perSecond);
      const times = arrivalTimes(arrivals, perSecond, seconds, seed);
      const outcomes = WAYS.map((way) =>
        [way.name, simulateLoad(way, RECORDED_ANSWERS, { times }, server, seed)] as const
      );
      return { arrivals, perSecond, load, outcomes: Object.fromEntries(outcomes) };
    })
  );
  return { name, ...recorded, capacity, clients, loads };
}

/** 64 steps, four between two readbacks. */
function stepsOf(rows: number): RecordedAnswer {
  const job = { rows: [rows, rows, rows, rows] };
  return { setting: "steps", tokens: 64, beforeText: 16, jobs: new Array(16).fill(job) };
}

/**
 * Milliseconds of answers one at a time, by those of all their rows in the best pass that the
 * clients can fill: what the curve allows, whatever the policy.
 */
function boundOf(
  alone: LoadOutcome,
  answers: readonly RecordedAnswer[],
  curve: CostCurve,
): number {
  const widest = Math.max(...answers.flatMap(({ jobs }) => jobs.flatMap(({ rows }) => rows)));
  const most = Math.min(SIMULATED_SERVER.mostRows, CLIENTS * widest);
  const sizes = Array.from({ length: most }, (_, i) => i + 1);
  const cheapest = Math.min(...sizes.map((rows) => curve.cost(rows) / rows));
  return alone.seconds * 1000 / (alone.passes * alone.rowsPerPass * cheapest);
}

/** Prints a report as tables. */
export function printSimulation({ answers, server, curves }: SimulationReport): void {
  for (const { name, model, device, source, capacity, clients, loads } of curves) {
    console.log(`\n${name}: ${model} on ${device}; ${source}`);
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
    for (const { arrivals, perSecond, load, outcomes } of loads) {
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
    console.log(`${table}`);
    console.log(`x: of the ${number(capacity)} answers/s of one at a time`);
  }
  const { readback, hostWork, mostRows, mostWaiting } = server;
  console.log(
    `\nSimulated, not measured. Answers: ${answers}. Assumed: ${readback} ms to read a pass back, ` +
      `${hostWork} ms of the host for each job, ${mostRows} rows a pass at most, ${mostWaiting} ` +
      "requests waiting at most.",
  );
}

function number(value: number): string {
  return value >= 99.95 ? value.toFixed(0) : value.toPrecision(3);
}
