/**
 * Many clients that stream one answer after another, for as long as is asked: what they got, when,
 * whether the server stayed responsive, and whether its memory stayed as it was.
 *
 * `deno run -A test/server/soak.ts --seconds 60 --clients 64 --json soak.json` prints a table. With
 * `--max-waiting 16` more clients ask than may wait, and some are told 429.
 */
import { parseArgs } from "node:util";
import { FittedTable } from "../../src/bench/fitted_table.ts";
import { type Spread, spreadOf } from "../../src/bench/serving.ts";
import { freePort, memoryOf, PROMPTS, sleep, start } from "./load.ts";
import { streamedAnswer } from "./streamed_answer.ts";

/** What is asked of a server. */
export interface Soak {
  readonly seconds: number;
  /** Seconds of the same load before, which are not measured. */
  readonly warmUp: number;
  /**
   * Answers in that time at least; it is longer if it must. Memory settles only after some 600: until
   * then heaps grow, as little is collected before they do.
   */
  readonly warmAnswers: number;
  readonly clients: number;
  /** Requests that may wait at the server. */
  readonly maxWaiting: number;
}

/** Figures of a run; times in milliseconds, memory in megabytes. */
export interface SoakReport extends Soak {
  /** Answers that were the same as alone. */
  readonly right: number;
  /** What the others were. */
  readonly wrong: readonly string[];
  /** Requests that were told to come again later. */
  readonly refused: number;
  /** What such answers say to wait, in seconds; each of them must say it. */
  readonly retryAfter: Spread | undefined;
  readonly answersPerSecond: number;
  readonly first: Spread;
  readonly total: Spread;
  /** Of `/health`, by a Worker of the client, and how late that Worker's own clock woke it. */
  readonly health: Spread & { readonly p100: number; readonly times: number };
  readonly watcherLate: Spread & { readonly p100: number };
  /** Resident memory: medians of the first and of the last `window` seconds. */
  readonly memory: {
    readonly window: number;
    readonly first: number;
    readonly last: number;
    readonly samples: readonly number[];
  };
  readonly exitCode: number;
}

/** The ways in which clients ask, by turns. */
const WAYS: readonly Readonly<Record<string, unknown>>[] = [
  { strategy: "threshold" },
  { strategy: "threshold", cache: "dual", stream_events: true },
  { strategy: "commit_verify" },
  { strategy: "plain", max_tokens: 16, stream_events: true },
  { strategy: "threshold", cache: "dual" },
  { strategy: "threshold", stream_events: true },
];

/** Milliseconds between two looks at the memory. */
const INTERVAL = 500;
/** A window of memory is this share of a run, and no longer than a minute. */
const WINDOW_SHARE = 1 / 6;
const LONGEST_WINDOW = 60;
/** Milliseconds until a client that was refused, or got no response, asks again, at most. */
const PATIENCE = 1000;

/** Starts a server, loads it, and tells it to end. */
export async function runSoak(soak: Soak): Promise<SoakReport> {
  const { maxWaiting } = soak;
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = await start(port, maxWaiting);
  try {
    const measured = await load(url, () => memoryOf(port), soak);
    server.kill("SIGTERM");
    const { code: exitCode } = await server.status;
    return { ...soak, ...measured, exitCode };
  } catch (error) {
    server.kill("SIGKILL");
    throw error;
  }
}

/** What clients of a server get. */
async function load(
  url: string,
  memory: () => Promise<number>,
  { seconds, warmUp, warmAnswers, clients }: Soak,
): Promise<Omit<SoakReport, keyof Soak | "exitCode">> {
  const asks = PROMPTS.flatMap((prompt) =>
    WAYS.map((way) => ({
      messages: [{ role: "user", content: prompt }],
      max_tokens: 32,
      seed: 1,
      stream: true,
      ...way,
    }))
  );
  const alone: string[] = [];
  for (const ask of asks) {
    const answer = await streamedAnswer(url, ask);
    if (answer.status !== 200) throw new Error(`alone: ${answer.status} ${answer.bits}`);
    alone.push(answer.bits);
  }

  const warmEnd = performance.now() + 1000 * warmUp;
  // Once it is warm.
  let [begin, end] = [Infinity, Infinity];
  const first: number[] = [];
  const total: number[] = [];
  const waits: number[] = [];
  const wrong: string[] = [];
  let right = 0;
  let refused = 0;
  let measured = 0;
  async function client(number: number): Promise<void> {
    for (let i = 7 * number; performance.now() < end; i++) {
      const at = i % asks.length;
      const answer = await streamedAnswer(url, asks[at]);
      if (answer.status === 429) {
        refused++;
        if (answer.retryAfter === undefined) wrong.push("429 without Retry-After");
        else waits.push(answer.retryAfter);
        await sleep(Math.min(PATIENCE, 1000 * (answer.retryAfter ?? 0)));
        continue;
      }
      if (answer.status === 200 && answer.bits === alone[at]) right++;
      else wrong.push(`${answer.status}: ${answer.bits.slice(-200)}`);
      // Of a server that is gone.
      if (answer.status === 0) await sleep(PATIENCE);
      const now = performance.now();
      if (now < begin) continue;
      if (now < end) measured++;
      first.push(answer.first);
      total.push(answer.total);
    }
  }
  const samples: number[] = [];
  async function warm(): Promise<void> {
    const lacks = () => right + wrong.length < warmAnswers;
    while (performance.now() < warmEnd || lacks()) await sleep(INTERVAL / 10);
    begin = performance.now();
    end = begin + 1000 * seconds;
  }
  async function weigh(): Promise<void> {
    while (performance.now() < end) {
      samples.push(await memory());
      await sleep(INTERVAL);
    }
  }
  const warmed = warm();
  const watched = warmed.then(() => watchHealth(url, seconds));
  await Promise.all([
    ...Array.from({ length: clients }, (_, i) => client(i)),
    warmed.then(weigh),
    watched,
  ]);
  const { milliseconds, late, wrong: unhealthy } = await watched;
  const window = Math.min(LONGEST_WINDOW, WINDOW_SHARE * seconds);
  const inWindow = Math.max(1, Math.round(samples.length * window / seconds));
  return {
    right,
    wrong: [...wrong, ...unhealthy],
    refused,
    retryAfter: waits.length > 0 ? spreadOf(waits) : undefined,
    answersPerSecond: measured / seconds,
    first: spreadOf(first),
    total: spreadOf(total),
    health: {
      ...withMost(milliseconds),
      times: milliseconds.length,
    },
    watcherLate: withMost(late),
    memory: {
      window,
      first: spreadOf(samples.slice(0, inWindow)).p50,
      last: spreadOf(samples.slice(-inWindow)).p50,
      samples,
    },
  };
}

function withMost(values: readonly number[]): Spread & { readonly p100: number } {
  return { ...spreadOf(values), p100: Math.max(...values) };
}

interface Watched {
  readonly milliseconds: readonly number[];
  readonly late: readonly number[];
  readonly wrong: readonly string[];
}

async function watchHealth(url: string, seconds: number): Promise<Watched> {
  const worker = new Worker(new URL("health_watch.ts", import.meta.url), { type: "module" });
  const told = new Promise<MessageEvent<Watched>>((resolve) => worker.onmessage = resolve);
  worker.postMessage({ url, seconds });
  const { data } = await told;
  worker.terminate();
  return data;
}

/** Share by which the last window's memory is above the first one's. */
export function growth({ memory: { first, last } }: SoakReport): number {
  return last / first - 1;
}

/** The figures as a table. */
export function soakTable(report: SoakReport): string {
  const { clients, seconds, warmUp, warmAnswers, maxWaiting, right, wrong, refused, memory } =
    report;
  const spread = ({ p50, p95 }: Spread, p100?: number) =>
    [
      `p50 ${p50.toFixed(1)}`,
      `p95 ${p95.toFixed(1)}`,
      ...p100 === undefined ? [] : [
        `p100 ${p100.toFixed(1)}`,
      ],
    ].join(", ");
  const table = new FittedTable({ rules: "none" });
  table.push(
    ["clients", `${clients} for ${seconds} s; ${maxWaiting} may wait`],
    ["warm-up", `${warmUp} s and ${warmAnswers} answers at least`],
    ["answers", `${right} right, ${wrong.length} not ${JSON.stringify(wrong.slice(0, 3))}`],
    ["told 429", `${refused}, to come again in ${report.retryAfter?.p50 ?? "-"} s`],
    ["answers/s", report.answersPerSecond.toFixed(1)],
    ["first text, ms", spread(report.first)],
    ["total, ms", spread(report.total)],
    [`/health, ms, ${report.health.times} times`, spread(report.health, report.health.p100)],
    ["its watcher's clock late, ms", spread(report.watcherLate, report.watcherLate.p100)],
    [
      `memory, MB, of ${memory.window.toFixed(0)} s`,
      `${memory.first.toFixed(0)} first, ${memory.last.toFixed(0)} last: ` +
      `${(100 * growth(report)).toFixed(1)}%`,
    ],
    ["exit code", report.exitCode],
  );
  return `${table}`;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      "warm-up": { type: "string", default: "10" },
      "warm-answers": { type: "string", default: "600" },
      clients: { type: "string", default: "64" },
      "max-waiting": { type: "string", default: "64" },
      json: { type: "string" },
    },
  });
  const report = await runSoak({
    seconds: Number(values.seconds),
    warmUp: Number(values["warm-up"]),
    warmAnswers: Number(values["warm-answers"]),
    clients: Number(values.clients),
    maxWaiting: Number(values["max-waiting"]),
  });
  console.log(soakTable(report));
  if (values.json) await Deno.writeTextFile(values.json, JSON.stringify(report, null, 2) + "\n");
}
