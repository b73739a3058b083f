/**
 * Which jobs share the next forward pass. It is decided anew before each pass, from the jobs that
 * wait and what passes cost, so requests join and leave between any two passes, wherever they are
 * in their answers.
 *
 * Each job has a time at which it is due: since when it waits, plus its patience. Patience is what
 * the job would cost alone times the stretch, the factor by which sharing now slows all of them, so
 * that a full canvas and a step of 32 rows are slowed alike. Jobs whose request has shown no text
 * are due some rounds earlier; a round is the time in which all jobs that wait run once. The first
 * due goes first and decides the model; the pass is filled with others of that model, in the order
 * in which they are due, up to a budget of rows: nearly where a row is cheapest, and fewer while a
 * request waits for its first text, so that its passes are short; but room for all that do.
 *
 * Bounded waiting: with at most `n` jobs waiting at once, each begins within
 *
 *     n x (its cost alone x 2^-priority + rounds x the dearest job alone + the longest run)
 *
 * where `rounds` is `roundsBeforeText`, and a run is a pass or the passes between two readbacks.
 * For the stretch is at most `n`, and a round at most `n` times the dearest job. Once these have
 * gone by, no job that comes later is due earlier; of the `n - 1` others, and the one that runs,
 * each run ends one at least.
 */

import type { CostCurve } from "./cost_curve.ts";

/** A model whose passes are shared. */
export type PassModel = "target" | "draft";

/** A job that waits. */
export interface PendingJob {
  /** The request that it belongs to. */
  readonly request: number;
  readonly model: PassModel;
  /** Rows of its widest pass. */
  readonly rows: number;
  /** Passes that it asks for. */
  readonly passes: number;
  /** Whether its first pass recomputes all keys and values of a canvas. */
  readonly refreshes: boolean;
  /** When it began to wait, in milliseconds of any one clock. */
  readonly since: number;
  /** With each 1 more its patience is half as long, within ±{@linkcode MOST_PRIORITY}; usual: 0. */
  readonly priority: number;
  /** Whether its request has shown text. */
  readonly begun: boolean;
}

/** What runs next. */
export interface PassChoice {
  readonly model: PassModel;
  /** Indices of the jobs. */
  readonly jobs: readonly number[];
  /** Passes that run before anything is read back. */
  readonly passes: number;
}

/** Settings of the policy. */
export interface PolicySettings {
  /** The share by which a row may cost more than at the best size, to make passes shorter. */
  readonly dearer: number;
  /** The same, while a request waits for its first text. */
  readonly dearerBeforeText: number;
  /** Rounds by which the jobs of such a request are due earlier; a round is one job of each. */
  readonly roundsBeforeText: number;
  /** The share of the budget that refreshes may take while other jobs wait. */
  readonly refreshShare: number;
  /** Milliseconds of a pass beyond which it is filled no further than before first texts. */
  readonly longestPass: number;
  /** Milliseconds that passes without a readback between them may take together. */
  readonly longestChain: number;
  /** Milliseconds that a pass may be put off for jobs that will come back, at most. */
  readonly longestGrace: number;
}

/** Settings unless asked otherwise. */
export const POLICY_SETTINGS: PolicySettings = {
  dearer: 0.03,
  dearerBeforeText: 0.25,
  roundsBeforeText: 8,
  refreshShare: 0.35,
  longestPass: 250,
  longestChain: 200,
  longestGrace: 5,
};

/** What the policy knows beside the jobs. */
export interface PolicyState {
  readonly curves: { readonly target: CostCurve; readonly draft?: CostCurve };
  /** Rows that a pass may have. */
  readonly mostRows: number;
  /** Whether requests wait that could join after the next pass. */
  readonly newcomers: boolean;
  /** Default: {@linkcode POLICY_SETTINGS}. */
  readonly settings?: PolicySettings;
}

/** Priorities beyond ± this count as this. */
export const MOST_PRIORITY = 8;

/** The factor by which a priority shortens patience: two for each step. */
export function urgencyOf(priority: number): number {
  return 2 ** Math.max(-MOST_PRIORITY, Math.min(MOST_PRIORITY, priority));
}

/** The share of the budget up to which a job is small. */
const SMALL = 1 / 4;

/**
 * The share of a pass that it may be put off by if all jobs would come back; for fewer, less. Who is
 * not waited for waits for the whole pass.
 */
const GRACE_SHARE = 0.5;

/**
 * Chooses among the jobs that wait.
 * @throws {RangeError} when none waits
 */
export function choosePass(pending: readonly PendingJob[], state: PolicyState): PassChoice {
  if (pending.length === 0) throw new RangeError("no job waits");
  const order = inOrder(pending, state);
  const { model } = pending[order[0]];
  const own = order.filter((job) => pending[job].model === model);
  const { refreshShare } = state.settings ?? POLICY_SETTINGS;
  const budget = { rows: budgetOf(model, pending, state), most: state.mostRows, refreshShare };
  const jobs = filled(own, pending, budget);
  return { model, jobs, passes: passesOf(jobs, pending, curveOf(model, state), state) };
}

/**
 * Until when the next pass should be put off, because jobs that just ran will be back soon: some
 * time after the last that came back, to be asked anew whenever one does. Without, requests fall
 * apart into groups that take turns, each pass half empty, and stay so.
 * @param ended when the last pass ended
 * @param returning requests that ran in it and have asked for nothing since
 * @returns milliseconds on the clock of {@linkcode PendingJob.since}; `ended` for at once
 */
export function graceUntil(
  pending: readonly PendingJob[],
  ended: number,
  returning: number,
  state: PolicyState,
): number {
  if (returning === 0 || pending.length === 0) return ended;
  const { model, jobs } = choosePass(pending, state);
  const curve = curveOf(model, state);
  const rows = rowsOf(jobs, pending);
  // A full pass gains nothing.
  const left = pending.filter((job) => job.model === model).length - jobs.length;
  if (left > 0 || rows >= budgetOf(model, pending, state)) return ended;
  const { longestGrace } = state.settings ?? POLICY_SETTINGS;
  const last = pending.reduce((latest, { since }) => Math.max(latest, since), ended);
  const share = GRACE_SHARE * returning / (returning + jobs.length);
  return Math.min(ended + longestGrace, last + share * curve.cost(rows));
}

function curveOf(model: PassModel, { curves }: PolicyState): CostCurve {
  return curves[model] ?? curves.target;
}

/** Rows up to which a pass of the model is filled now. */
function budgetOf(
  model: PassModel,
  pending: readonly PendingJob[],
  state: PolicyState,
): number {
  const { mostRows, settings = POLICY_SETTINGS } = state;
  const curve = curveOf(model, state);
  const least = curve.budget(mostRows, settings.dearerBeforeText);
  const cheapest = curve.budget(mostRows, settings.dearer);
  const usual = curve.cost(cheapest) <= settings.longestPass ? cheapest : least;
  const textless = pending.filter((job) => job.model === model && !job.begun);
  if (textless.length === 0) return usual;
  // All of these at once: apart, they would wait for each other.
  return Math.max(least, Math.min(usual, textless.reduce((sum, { rows }) => sum + rows, 0)));
}

function rowsOf(jobs: readonly number[], pending: readonly PendingJob[]): number {
  return jobs.reduce((sum, job) => sum + pending[job].rows, 0);
}

/** Indices of all jobs, first due first; of those due alike, the longest waiting first. */
function inOrder(pending: readonly PendingJob[], state: PolicyState): readonly number[] {
  const { roundsBeforeText } = state.settings ?? POLICY_SETTINGS;
  const alone = pending.map(({ model, rows }) => curveOf(model, state).cost(rows));
  const sum = alone.reduce((total, cost) => total + cost, 0);
  const round = Math.min(sum, roundOf(pending, state));
  const stretch = pending.length * round / sum;
  const due = pending.map(({ since, priority, begun }, job) => {
    const patience = alone[job] * stretch / urgencyOf(priority);
    return since + patience - (begun ? 0 : roundsBeforeText * round);
  });
  return due.map((_, job) => job).sort((a, b) =>
    due[a] - due[b] || pending[a].since - pending[b].since || a - b
  );
}

/** Milliseconds in which every job runs once, in passes filled to the budget. */
function roundOf(pending: readonly PendingJob[], state: PolicyState): number {
  let round = 0;
  for (const model of ["target", "draft"] as const) {
    const rows = pending.reduce((sum, job) => sum + (job.model === model ? job.rows : 0), 0);
    if (rows === 0) continue;
    const curve = curveOf(model, state);
    const budget = budgetOf(model, pending, state);
    const full = Math.floor(rows / budget);
    const rest = rows - full * budget;
    round += full * curve.cost(budget) + (rest > 0 ? curve.cost(rest) : 0);
  }
  return round;
}

/** How far a pass is filled. */
interface Budget {
  readonly rows: number;
  /** Rows that a pass may have at all. */
  readonly most: number;
  readonly refreshShare: number;
}

/**
 * The first job whatever its rows, and of the others those that fit; small ones also where the
 * budget ends inside them. A job that does not fit is passed over; it runs at the latest when it is
 * the first.
 */
function filled(
  order: readonly number[],
  pending: readonly PendingJob[],
  budget: Budget,
): readonly number[] {
  const steps = order.some((job) => !pending[job].refreshes);
  const mostRefreshed = steps ? budget.rows * budget.refreshShare : budget.rows;
  const jobs: number[] = [];
  let rows = 0;
  let refreshed = 0;
  for (const job of order) {
    const { rows: more, refreshes } = pending[job];
    const half = more <= budget.rows * SMALL ? more / 2 : more;
    const fits = rows + half <= budget.rows && rows + more <= budget.most &&
      (!refreshes || refreshed + more <= mostRefreshed);
    if (jobs.length > 0 && !fits) continue;
    jobs.push(job);
    rows += more;
    if (refreshes) refreshed += more;
  }
  return jobs;
}

/** Several only where all jobs that wait take part with as many, and nobody waits to join. */
function passesOf(
  jobs: readonly number[],
  pending: readonly PendingJob[],
  curve: CostCurve,
  { newcomers, settings = POLICY_SETTINGS }: PolicyState,
): number {
  if (newcomers || jobs.length < pending.length) return 1;
  const most = Math.min(...jobs.map((job) => pending[job].passes));
  const fit = Math.floor(settings.longestChain / curve.cost(rowsOf(jobs, pending)));
  return Math.max(1, Math.min(most, fit));
}
