/** `unmask bench simulate`: ways to serve many requests, compared under simulated load. */

import { CostCurve } from "../../engine/batching/cost_curve.ts";
import type { PassModel } from "../../engine/batching/policy.ts";
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
/** Those of the tables; of bursts, fewer. */
export const SHOWN: Readonly<Record<Arrivals, readonly (number | undefined)[]>> = {
  poisson: [0.5, 1, 1.5, 3, undefined],
  bursty: [0.5, 1],
};
/** The most requests a second that are simulated. */
const MOST_PER_SECOND = 1000;
/** Requests of a load, and its seconds where they come faster. */
const REQUESTS = 600;
const LEAST_SECONDS = 30;
/** Clients of the comparison at full load, and their requests. */
export const CLIENTS = 16;
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

/** All loads of some answers, mixed. */
export interface SimulatedLoads {
  readonly answers: string;
  /** Answers a second, one at a time. */
  readonly capacity: number;
  readonly points: readonly SimulatedPoint[];
}

/** All of one curve. */
export interface SimulatedCurve extends RecordedCurve {
  readonly name: string;
  readonly clients: readonly ClientsPoint[];
  /** Of the target's answers, and of those with a draft. */
  readonly loads: readonly SimulatedLoads[];
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

/** Answers that are simulated together. */
interface AnswerGroup {
  readonly setting: string;
  readonly answers: readonly RecordedAnswer[];
}

function simulatedCurve(
  name: string,
  recorded: RecordedCurve,
  { loads: multiples = LOADS, requests = REQUESTS, leastSeconds = LEAST_SECONDS }: SimulationSize,
  seed: number,
): SimulatedCurve {
  const curves = {
    target: CostCurve.from(recorded.points),
    draft: CostCurve.from(recorded.draft.points),
  };
  const server = { ...SIMULATED_SERVER, curves };
  const mixes = mixedAnswers();
  const clients = [...steps(), ...settings(), ...mixes].map(({ setting, answers }) => {
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
      bound: boundOf(alone, answers, curves),
    };
  });
  const loads = mixes.map(({ setting, answers, drafts }, mix): SimulatedLoads => {
    const capacity = clients.at(mix - mixes.length)!.alone.answersPerSecond;
    const rates = [
      ...multiples.map((load) => ({ load, perSecond: load * capacity })),
      { load: undefined, perSecond: MOST_PER_SECOND },
    ];
    const points = ARRIVALS.flatMap((arrivals) =>
      // An answer with a draft has many passes, and all loads would take a minute.
      rates.filter(({ load }) => !drafts || SHOWN[arrivals].includes(load)).map((
        { load, perSecond },
      ): SimulatedPoint => {
        const seconds = Math.max(leastSeconds, requests / perSecond);
        const times = arrivalTimes(arrivals, perSecond, seconds, seed);
        const outcomes = WAYS.map((way) =>
          [way.name, simulateLoad(way, answers, { times }, server, seed)] as const
        );
        return { arrivals, perSecond, load, outcomes: Object.fromEntries(outcomes) };
      })
    );
    return { answers: setting, capacity, points };
  });
  return { name, ...recorded, clients, loads };
}

/** Answers that are nothing but steps against kept keys. */
function steps(): AnswerGroup[] {
  return STEP_ROWS.map((rows) => ({
    setting: `steps of ${rows} rows alone`,
    answers: [stepsOf(rows)],
  }));
}

/** The recorded answers by setting. */
function settings(): AnswerGroup[] {
  const names = [...new Set(RECORDED_ANSWERS.map(({ setting }) => setting))];
  return names.map((setting) => ({
    setting,
    answers: RECORDED_ANSWERS.filter((answer) => answer.setting === setting),
  }));
}

/** All recorded answers, those of settings without a draft and those of settings with one. */
function mixedAnswers(): (AnswerGroup & { readonly drafts: boolean })[] {
  const drafted = new Set(
    settings().filter(({ answers }) =>
      answers.some(({ jobs }) => jobs.some(({ model }) => model === "draft"))
    ).map(({ setting }) => setting),
  );
  return [false, true].map((drafts) => ({
    drafts,
    setting: drafts ? "all with a draft" : "all without a draft",
    answers: RECORDED_ANSWERS.filter(({ setting }) => drafted.has(setting) === drafts),
  }));
}

/** 64 steps, four between two readbacks. */
function stepsOf(rows: number): RecordedAnswer {
  const job = { rows: [rows, rows, rows, rows] };
  return { setting: "steps", tokens: 64, beforeText: 16, jobs: new Array(16).fill(job) };
}

/**
 * Milliseconds of answers one at a time, by those of all their rows in the best passes that the
 * clients can fill: what the curves allow, whatever the policy.
 */
function boundOf(
  alone: LoadOutcome,
  answers: readonly RecordedAnswer[],
  curves: Readonly<Record<PassModel, CostCurve>>,
): number {
  const jobs = answers.flatMap((answer) => answer.jobs);
  const least = (["target", "draft"] as const).map((name) => {
    const own = jobs.filter(({ model = "target" }) => model === name).flatMap(({ rows }) => rows);
    if (own.length === 0) return 0;
    const most = Math.min(SIMULATED_SERVER.mostRows, CLIENTS * Math.max(...own));
    const sizes = Array.from({ length: most }, (_, i) => i + 1);
    const cheapest = Math.min(...sizes.map((rows) => curves[name].cost(rows) / rows));
    return alone.rows[name] * cheapest;
  });
  return alone.seconds * 1000 / (least[0] + least[1]);
}
