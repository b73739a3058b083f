/**
 * A server under load, simulated: requests come, their jobs wait, and passes run one after another
 * at the costs of a recorded curve. Nothing runs on a device, so thousands of requests take a
 * moment.
 */

import type { PassModel, PolicyState } from "../../engine/batching/policy.ts";
import { drawn } from "./arrivals.ts";
import type { RecordedAnswer } from "./recorded.ts";
import type { WaitingJob, Way } from "./ways.ts";

/** When requests come: at given milliseconds, or a client's next whenever its last is answered. */
export type Load =
  | { readonly times: readonly number[] }
  | { readonly clients: number; readonly requests: number };

/** What is simulated. */
export interface SimulatedServer {
  /** Of the target, and of a draft if requests run one. */
  readonly curves: PolicyState["curves"];
  /** Rows that a pass may have. */
  readonly mostRows: number;
  /** Requests that may wait for a place; one that finds so many is refused. */
  readonly mostWaiting: number;
  /** Milliseconds between the end of a pass and its results on the host. Assumed. */
  readonly readback: number;
  /** Milliseconds that the host works on a job's results, for one after another. Assumed. */
  readonly hostWork: number;
}

/** Usual values of what is no measurement. */
export const SIMULATED_SERVER: Omit<SimulatedServer, "curves"> = {
  mostRows: 1024,
  mostWaiting: 64,
  readback: 1,
  hostWork: 0.3,
};

/** Milliseconds that are not above a share of all values. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** What a load came to. */
export interface LoadOutcome {
  readonly asked: number;
  readonly answered: number;
  readonly refused: number;
  /** From the first request to the last answer. */
  readonly seconds: number;
  readonly answersPerSecond: number;
  readonly tokensPerSecond: number;
  /** Milliseconds from a request to its first text, of those that were answered. */
  readonly firstText: Percentiles;
  /** Milliseconds from a request to the end of its answer. */
  readonly total: Percentiles;
  readonly passes: number;
  /** On average. */
  readonly rowsPerPass: number;
  readonly requestsPerPass: number;
  /** Of all passes together. */
  readonly rows: Readonly<Record<PassModel, number>>;
  /** Share of the time in which passes ran. */
  readonly busy: number;
}

interface Request {
  readonly answer: RecordedAnswer;
  readonly asked: number;
  /** Its next job, the passes of it that have run, and those of all jobs. */
  job: number;
  passes: number;
  ran: number;
  /** When that job waits for a pass. */
  since: number;
  firstText: number;
}

/**
 * Runs a load.
 * @param answers of which each request draws one; a draft must have a curve if one of them runs it
 */
export function simulateLoad(
  way: Way,
  answers: readonly RecordedAnswer[],
  load: Load,
  server: SimulatedServer,
  seed = 0,
): LoadOutcome {
  const draw = drawn(seed + 1);
  const { curves, mostRows, mostWaiting, readback, hostWork } = server;
  const times = "times" in load ? load.times : new Array<number>(load.clients).fill(0);
  const most = "times" in load ? times.length : load.requests;
  const arriving = [...times];
  let next = 0;
  let refused = 0;
  const waiting: Request[] = [];
  let running: Request[] = [];
  const firstText: number[] = [];
  const total: number[] = [];
  let tokens = 0;
  const sums = { passes: 0, requests: 0, busy: 0, rows: { target: 0, draft: 0 } };
  let now = 0;

  const join = () => {
    while (next < arriving.length && next < most && arriving[next] <= now) {
      const asked = arriving[next++];
      if (running.length + waiting.length >= way.running + mostWaiting) {
        refused++;
        continue;
      }
      const answer = answers[Math.floor(draw() * answers.length)];
      waiting.push({ answer, asked, job: 0, passes: 0, ran: 0, since: 0, firstText: 0 });
    }
    while (waiting.length > 0 && running.length < way.running) {
      const request = waiting.shift()!;
      request.since = now;
      running.push(request);
    }
  };
  const stateOf = (): PolicyState => ({
    curves,
    mostRows,
    // Who waits for a place is none; who is back from the host before the next pass is one.
    newcomers: waitingJobs().length < running.length,
  });
  const waitingJobs = () => running.filter(({ since }) => since <= now);
  /** Requests of the last pass. */
  let last = new Set<Request>();
  let ended = 0;

  for (;;) {
    join();
    let ready = waitingJobs();
    if (ready.length === 0) {
      const comes = Math.min(
        next < most && next < arriving.length ? arriving[next] : Infinity,
        ...running.map(({ since }) => since),
      );
      if (comes === Infinity) break;
      now = Math.max(now, comes);
      continue;
    }
    if (way.grace) {
      // As the server waits: anew whenever one comes back.
      for (;;) {
        const away = running.filter((one) => one.since > now && last.has(one));
        const until = way.grace(ready.map(jobOf), ended, away.length, stateOf());
        if (away.length === 0 || now >= until) break;
        now = Math.min(until, ...away.map(({ since }) => since));
        join();
        ready = waitingJobs();
      }
    }
    const choice = way.choose(ready.map(jobOf), stateOf(), now);
    const chosen = choice.jobs.map((job) => ready[job]);
    for (let pass = 0; pass < choice.passes; pass++) {
      const rows = chosen.reduce(
        (sum, { answer, job, passes }) => sum + answer.jobs[job].rows[passes + pass],
        0,
      );
      const cost = curves[choice.model]!.cost(rows);
      now += cost;
      sums.passes++;
      sums.rows[choice.model] += rows;
      sums.requests += chosen.length;
      sums.busy += cost;
    }
    ended = now;
    let host = now + readback;
    for (const request of chosen) {
      host += hostWork;
      const { answer } = request;
      request.since = host;
      request.passes += choice.passes;
      request.ran += choice.passes;
      if (request.ran >= answer.beforeText) request.firstText ||= host;
      if (request.passes < answer.jobs[request.job].rows.length) continue;
      request.passes = 0;
      request.job++;
      if (request.job < answer.jobs.length) continue;
      firstText.push(request.firstText - request.asked);
      total.push(host - request.asked);
      tokens += answer.tokens;
      if ("clients" in load) arriving.push(host);
    }
    running = running.filter(({ answer, job }) => job < answer.jobs.length);
    last = new Set(chosen);
  }
  const seconds = now / 1000;
  return {
    asked: next,
    answered: total.length,
    refused,
    seconds,
    answersPerSecond: total.length / seconds,
    tokensPerSecond: tokens / seconds,
    firstText: percentiles(firstText),
    total: percentiles(total),
    passes: sums.passes,
    rowsPerPass: (sums.rows.target + sums.rows.draft) / sums.passes,
    requestsPerPass: sums.requests / sums.passes,
    rows: sums.rows,
    busy: sums.busy / now,
  };
}

function jobOf(request: Request): WaitingJob {
  const { answer, job, passes, ran, since } = request;
  const { model = "target", rows, refreshes = false } = answer.jobs[job];
  const left = rows.slice(passes);
  return {
    request: 0,
    model,
    rows: Math.max(...left),
    passes: left.length,
    refreshes: refreshes && passes === 0,
    since,
    priority: 0,
    begun: ran >= answer.beforeText,
    index: job,
  };
}

function percentiles(values: number[]): Percentiles {
  values.sort((a, b) => a - b);
  const at = (share: number) => values[Math.max(0, Math.ceil(share * values.length) - 1)];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
