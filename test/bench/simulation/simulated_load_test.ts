import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { arrivalTimes } from "../../../src/bench/simulation/arrivals.ts";
import { readJobs } from "../../../src/bench/simulation/job_list.ts";
import type { RecordedAnswer } from "../../../src/bench/simulation/recorded.ts";
import { SIMULATED_SERVER, simulateLoad } from "../../../src/bench/simulation/simulated_load.ts";
import {
  ONE_AT_A_TIME,
  SHARED_PASSES,
  STATIC_BATCHES,
  type WaitingJob,
  type Way,
  WAYS,
} from "../../../src/bench/simulation/ways.ts";
import { CostCurve } from "../../../src/engine/batching/cost_curve.ts";

/** 20 ms a pass, whatever its rows up to 256. */
const FLAT = CostCurve.from([1, 32, 256, 512].map((rows) => ({
  rows,
  milliseconds: Math.max(20, rows * 20 / 256),
})));
/** Its draft takes a quarter of that. */
const QUARTER = CostCurve.from(
  FLAT.toJSON().map(({ rows, milliseconds }) => ({ rows, milliseconds: milliseconds / 4 })),
);
const SERVER = { ...SIMULATED_SERVER, curves: { target: FLAT, draft: QUARTER } };
/** Two jobs of two steps; the first text after the first job. */
const SHORT: RecordedAnswer = {
  setting: "short",
  tokens: 8,
  beforeText: 2,
  jobs: [{ rows: [32, 32] }, { rows: [32, 32] }],
};
/** A canvas that is refreshed and stepped through, three blocks. */
const LONG: RecordedAnswer = {
  setting: "long",
  tokens: 96,
  beforeText: 5,
  jobs: Array.from({ length: 3 }, () => [
    { rows: [200], refreshes: true },
    { rows: [32, 32, 32, 32] },
    { rows: [32, 32, 32, 32] },
  ]).flat(),
};
/** Twice a job of the draft and one of the target; the first text after the first of these. */
const DRAFTED: RecordedAnswer = {
  setting: "drafted",
  tokens: 8,
  beforeText: 3,
  jobs: readJobs("2 x (draft 32*2, 40)"),
};

Deno.test("one request takes its passes, and for each job the host's part", () => {
  for (const way of WAYS) {
    const outcome = simulateLoad(way, [SHORT], { times: [5] }, SERVER);
    // Static batches read back after every pass.
    const readbacks = way === STATIC_BATCHES ? 4 : 2;
    const host = SERVER.readback + SERVER.hostWork;
    assertAlmostEquals(outcome.total.p50, 4 * 20 + readbacks * host, 1e-9);
    assertAlmostEquals(outcome.firstText.p50, 2 * 20 + readbacks / 2 * host, 1e-9);
    assertEquals([outcome.asked, outcome.answered, outcome.passes], [1, 1, 4]);
    assertEquals([outcome.rowsPerPass, outcome.requestsPerPass], [32, 1]);
  }
});

Deno.test("a pass is of one model, at its cost: drafts and targets of requests take turns", () => {
  const host = SERVER.readback + SERVER.hostWork;
  const one = simulateLoad(SHARED_PASSES, [DRAFTED], { times: [0] }, SERVER);
  assertAlmostEquals(one.total.p50, 2 * (2 * 5 + 20 + 2 * host), 1e-9);
  assertAlmostEquals(one.firstText.p50, 2 * 5 + 20 + 2 * host, 1e-9);
  assertEquals(one.rows, { target: 80, draft: 128 });
  for (const way of WAYS) {
    const load = { clients: 8, requests: 64 };
    const { answered, rows, passes } = simulateLoad(way, [DRAFTED, SHORT], load, SERVER, 2);
    assertEquals(answered, 64);
    const drafted = rows.draft / 128;
    assertEquals(rows.target, 80 * drafted + 128 * (64 - drafted));
    assert(drafted > 20 && drafted < 44 && (way === ONE_AT_A_TIME || passes < 64 * 5 / 2));
  }
  const most = simulateLoad(SHARED_PASSES, [DRAFTED], { clients: 8, requests: 64 }, SERVER);
  assert(most.answersPerSecond > 4 * one.answersPerSecond, `${most.answersPerSecond}`);
});

Deno.test("requests that come at once share every pass, where one at a time answers them in turn", () => {
  const times = new Array(8).fill(0);
  const shared = simulateLoad(SHARED_PASSES, [SHORT], { times }, SERVER);
  assertEquals(shared.requestsPerPass, 8);
  const alone = simulateLoad(ONE_AT_A_TIME, [SHORT], { times }, SERVER);
  assertEquals(alone.requestsPerPass, 1);
  assert(shared.answersPerSecond > 6 * alone.answersPerSecond);
});

Deno.test("requests that came apart are brought together, and share passes from then on", () => {
  const times = Array.from({ length: 8 }, (_, i) => 7 * i);
  const outcome = simulateLoad(SHARED_PASSES, [LONG], { times }, SERVER);
  assert(outcome.requestsPerPass > 3, `${outcome.requestsPerPass} requests a pass`);
});

Deno.test("as in the server, who is at the host is about to join, and who waits for a place is not", () => {
  const expects = (times: readonly number[]) => {
    const told = new Set<string>();
    const way: Way = {
      ...SHARED_PASSES,
      running: 2,
      grace: undefined,
      choose(pending, state) {
        told.add(`${pending.length} ready: ${state.newcomers}`);
        return SHARED_PASSES.choose(pending, state, 0);
      },
    };
    simulateLoad(way, [SHORT], { times }, SERVER);
    return told;
  };
  assert(expects([0, 0]).has("1 ready: true"));
  assert(!expects([0, 0, 0, 0]).has("2 ready: true"));
});

Deno.test("who finds too many waiting is refused; everyone else is answered", () => {
  const times = new Array(20).fill(0);
  const outcome = simulateLoad(ONE_AT_A_TIME, [SHORT], { times }, { ...SERVER, mostWaiting: 4 });
  assertEquals([outcome.answered, outcome.refused], [5, 15]);
});

Deno.test("every request is answered or refused, and the same seed gives the same outcome", () => {
  for (const way of WAYS) {
    for (const arrivals of ["poisson", "bursty"] as const) {
      const times = arrivalTimes(arrivals, 8, 20, 3);
      const run = () => simulateLoad(way, [SHORT, LONG], { times }, SERVER, 3);
      const outcome = run();
      assertEquals(outcome.asked, times.length);
      assertEquals(outcome.answered + outcome.refused, times.length);
      assert(outcome.busy > 0 && outcome.busy <= 1);
      assertEquals(run(), outcome);
    }
  }
});

Deno.test("1,000 requests a second: as many are answered as the device can, the rest is told", () => {
  const times = arrivalTimes("poisson", 1000, 10, 1);
  const { answered, refused, answersPerSecond, busy, firstText } = simulateLoad(
    SHARED_PASSES,
    [SHORT, LONG],
    { times },
    SERVER,
  );
  assertEquals(answered + refused, times.length);
  assert(refused > 0.9 * times.length);
  // Each answer is 4 or 27 passes; of 20 ms, eight in one.
  assert(answersPerSecond > 10, `${answersPerSecond} answers/s`);
  assert(busy > 0.9);
  assert(firstText.p99 < 1000 * times.length / answersPerSecond);
});

Deno.test("clients ask again as soon as they are answered", () => {
  const load = { clients: 4, requests: 40 };
  const { asked, answered, requestsPerPass } = simulateLoad(SHARED_PASSES, [LONG], load, SERVER);
  assertEquals([asked, answered], [40, 40]);
  assert(requestsPerPass > 2, `${requestsPerPass} requests a pass`);
});

Deno.test("under load the first text comes sooner in shared passes, and more is answered", () => {
  const run = (way: typeof SHARED_PASSES) =>
    simulateLoad(way, [SHORT, LONG], { clients: 16, requests: 160 }, SERVER);
  const [alone, batches, shared] = WAYS.map(run);
  assert(shared.answersPerSecond > 2 * alone.answersPerSecond);
  assert(shared.answersPerSecond > batches.answersPerSecond);
  assert(shared.firstText.p95 < alone.firstText.p95 / 4);
  assert(shared.firstText.p95 < batches.firstText.p95);
});

Deno.test("static batches take eight that are equally far, the overdue group first", () => {
  const job = (index: number, since: number): WaitingJob => ({
    request: 0,
    model: "target",
    rows: 32,
    passes: 4,
    refreshes: false,
    since,
    priority: 0,
    begun: false,
    index,
  });
  const choose = (pending: WaitingJob[]) =>
    STATIC_BATCHES.choose(
      pending,
      { curves: { target: FLAT }, mostRows: 512, newcomers: false },
      100,
    );
  const newcomers = Array.from({ length: 10 }, () => job(0, 90));
  assertEquals(choose([job(3, 90), ...newcomers]).jobs, [1, 2, 3, 4, 5, 6, 7, 8]);
  assertEquals(choose([job(3, 0), ...newcomers]), { model: "target", jobs: [0], passes: 1 });
  const drafts = newcomers.map((one, i) => i < 4 ? { ...one, model: "draft" as const } : one);
  assertEquals(choose(drafts), { model: "target", jobs: [4, 5, 6, 7, 8, 9], passes: 1 });
});

Deno.test("requests come as often as asked, alone or in bursts", () => {
  for (const arrivals of ["poisson", "bursty"] as const) {
    const times = arrivalTimes(arrivals, 50, 400, 7);
    assert(Math.abs(times.length / 400 - 50) < 5, `${times.length / 400} a second`);
    assertEquals(times, times.toSorted((a, b) => a - b));
    assertEquals(arrivalTimes(arrivals, 50, 400, 7), times);
    const together = Map.groupBy(times, (time) => time).values().map(({ length }) => length);
    const largest = Math.max(...together);
    assertEquals(largest, arrivals === "bursty" ? 15 : 1);
  }
});
