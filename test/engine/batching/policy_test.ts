import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CostCurve } from "../../../src/engine/batching/cost_curve.ts";
import {
  choosePass,
  graceUntil,
  MOST_PRIORITY,
  type PendingJob,
  POLICY_SETTINGS,
  type PolicyState,
} from "../../../src/engine/batching/policy.ts";

const SIZES = [1, 32, 64, 128, 256, 512, 1024];
/** A GPU: 20 ms to read all weights, rows free up to 256. */
const gpu = (rows: number) => Math.max(20, rows * 20 / 256);
const cpu = (rows: number) => 4 + rows;

function stateOf(cost: (rows: number) => number, newcomers = false): PolicyState {
  const curve = (scale: number) =>
    CostCurve.from(SIZES.map((rows) => ({ rows, milliseconds: scale * cost(rows) })));
  return { curves: { target: curve(1), draft: curve(0.25) }, mostRows: 1024, newcomers };
}

const STEP: PendingJob = {
  request: 0,
  model: "target",
  rows: 32,
  passes: 1,
  refreshes: false,
  since: 0,
  priority: 0,
  begun: true,
};
const steps = (count: number, of: Partial<PendingJob> = {}): PendingJob[] =>
  Array.from({ length: count }, (_, request) => ({ ...STEP, request, ...of }));

Deno.test("steps of all requests share a pass where rows are free", () => {
  const { jobs, model } = choosePass(steps(8), stateOf(gpu));
  assertEquals([jobs.length, model], [8, "target"]);
});

Deno.test("a pass ends at the budget, and the longest waiting go first", () => {
  const pending = steps(40).map((job, i) => ({ ...job, since: 100 - i }));
  const { jobs } = choosePass(pending, stateOf(gpu));
  assert(jobs.length >= 8 && jobs.length < 40, `${jobs.length} steps`);
  assertEquals(jobs, Array.from(jobs, (_, i) => 39 - i));
});

Deno.test("nothing waits: an error", () => {
  assertThrows(() => choosePass([], stateOf(gpu)), RangeError, "no job waits");
});

Deno.test("a full canvas lets steps pass it for a while, then runs before them", () => {
  const state = stateOf(cpu);
  const turn = (age: number) => {
    const canvas = { ...STEP, request: 9, rows: 512, since: -age };
    return choosePass([canvas, ...steps(4)], state).jobs.includes(0);
  };
  assert(!turn(0));
  assert(turn(20_000));
});

Deno.test("a job that does not fit is passed over by those that do", () => {
  const pending = [
    { ...STEP, since: -1000, rows: 32 },
    { ...STEP, request: 1, rows: 1000, since: -9000 },
    { ...STEP, request: 2, since: 0 },
  ];
  const { jobs } = choosePass(pending, { ...stateOf(gpu), mostRows: 256 });
  assertEquals(jobs[0], 1);
  assertEquals(jobs.length, 1);
  const later = [pending[0], { ...pending[1], since: 0 }, pending[2]];
  assertEquals(choosePass(later, { ...stateOf(gpu), mostRows: 256 }).jobs, [0, 2]);
});

Deno.test("a request without text goes before others that came alike, not before those long due", () => {
  const state = stateOf(cpu);
  const first = (age: number) => {
    const others = steps(20, { since: -age });
    return choosePass([...others, { ...STEP, request: 99, begun: false }], state).jobs[0];
  };
  assertEquals(first(0), 20);
  assertEquals(first(1000), 20);
  assert(first(20_000) !== 20);
});

Deno.test("passes are shorter while a request waits for its first text", () => {
  const rowsOf = (pending: PendingJob[]) => 32 * choosePass(pending, stateOf(cpu)).jobs.length;
  assert(rowsOf([...steps(30), { ...STEP, begun: false }]) < rowsOf(steps(31)));
  // Those that wait for it do so together, up to the usual budget.
  const textless = steps(3, { begun: false });
  assertEquals(choosePass([...steps(28), ...textless], stateOf(cpu)).jobs, [28, 29, 30]);
  assertEquals(rowsOf(steps(31, { begun: false })), rowsOf(steps(31)));
});

Deno.test("a higher priority goes first, a lower one last", () => {
  const state = stateOf(cpu);
  const pending = steps(12).map((job, i) => ({ ...job, priority: [0, 2, -2][i % 3] }));
  const { jobs } = choosePass(pending, state);
  assert(jobs.length >= 3);
  assert(jobs.every((job) => pending[job].priority === 2));
  // However low, it waits only so long.
  const low = { ...STEP, request: 50, priority: -1e9, since: -1e7 };
  assertEquals(choosePass([...steps(5), low], state).jobs[0], 5);
});

Deno.test("refreshes are spread over passes while steps wait, and share one when none does", () => {
  const refreshes = steps(4, { rows: 128, refreshes: true, since: -50 });
  const budget = stateOf(gpu).curves.target.budget(1024, POLICY_SETTINGS.dearer);
  const mixed = choosePass([...refreshes, ...steps(8)], stateOf(gpu)).jobs;
  const rows = (jobs: readonly number[]) => 128 * jobs.filter((job) => job < 4).length;
  assert(rows(mixed) > 0 && rows(mixed) <= Math.max(128, budget / 2), `${mixed}`);
  assert(mixed.some((job) => job >= 4), "steps go on");
  const alone = choosePass(refreshes, stateOf(gpu)).jobs;
  assertEquals(alone.length, Math.min(4, Math.max(1, Math.floor(budget / 128))));
});

Deno.test("draft and target take turns: the model of the job that is first due", () => {
  const state = stateOf(gpu);
  const both = (since: number) => [
    ...steps(3),
    ...steps(3, { model: "draft", since }),
  ];
  assertEquals(choosePass(both(0), state), { model: "draft", jobs: [3, 4, 5], passes: 1 });
  assertEquals(choosePass(both(200), state), { model: "target", jobs: [0, 1, 2], passes: 1 });
});

Deno.test("several passes run in one go only if nobody is kept from joining", () => {
  const four = steps(3, { passes: 4 });
  assertEquals(choosePass(four, stateOf(gpu)).passes, 4);
  assertEquals(choosePass(four, stateOf(gpu, true)).passes, 1);
  assertEquals(choosePass([...four, { ...STEP, passes: 2 }], stateOf(gpu)).passes, 2);
  assertEquals(choosePass([...four, STEP], stateOf(gpu)).passes, 1);
  assertEquals(
    choosePass([...four, { ...STEP, model: "draft", passes: 4 }], stateOf(gpu)).passes,
    1,
  );
  // As many as do not take too long.
  assertEquals(choosePass(steps(1, { rows: 1024, passes: 8 }), stateOf(gpu)).passes, 2);
  assertEquals(choosePass(steps(1, { rows: 1024, passes: 8 }), stateOf(cpu)).passes, 1);
});

Deno.test("a pass waits a moment for jobs that come back, unless it is full or nobody comes", () => {
  const state = stateOf(gpu);
  const { longestGrace } = POLICY_SETTINGS;
  const grace = (count: number, returning: number, since = 100) =>
    graceUntil(steps(count, { since }), 100, returning, state) - 100;
  assert(grace(4, 1) > 0 && grace(4, 1) < grace(4, 4));
  assert(grace(1, 100) <= longestGrace);
  // Anew from the last that came back, yet not for ever.
  assertEquals(grace(6, 1, 102), 2 + grace(6, 1, 100));
  assertEquals(grace(4, 1, 90), grace(4, 1));
  assertEquals(grace(4, 1, 100 + longestGrace), longestGrace);
  assertEquals([grace(4, 0), grace(40, 4)], [0, 0]);
  assertEquals(graceUntil([], 100, 4, state), 100);
});

/** Requests of a drawn load: each has one job at a time, the next a drawn while after the last. */
const request = fc.record({
  first: fc.integer({ min: 0, max: 2000 }),
  priority: fc.integer({ min: -2, max: 2 }),
  jobs: fc.array(
    fc.record({
      rows: fc.oneof(fc.constantFrom(1, 32, 33, 512), fc.integer({ min: 1, max: 1024 })),
      passes: fc.integer({ min: 1, max: 4 }),
      refreshes: fc.boolean(),
      draft: fc.boolean(),
      pause: fc.constantFrom(0, 0, 1, 40),
    }),
    { minLength: 1, maxLength: 12 },
  ),
});

Deno.test("every job runs within the bound that the policy states", () => {
  let waited = 0;
  fc.assert(
    fc.property(
      fc.array(request, { minLength: 1, maxLength: 12 }),
      fc.constantFrom(gpu, cpu),
      fc.boolean(),
      (requests, cost, newcomers) => {
        const state = { ...stateOf(cost, newcomers), mostRows: 1024 };
        for (const { ratio } of waits(requests, state)) {
          assert(ratio <= 1, `waited ${ratio} of the bound`);
          waited = Math.max(waited, ratio);
        }
      },
    ),
    { numRuns: 150 },
  );
  // The bound says something: some job waits for a good part of it.
  assert(waited > 0.1, `waited at most ${waited} of the bound`);
});

/** Runs a load; of each job, how long it waited for its (first) pass as a share of the bound. */
function waits(
  requests: readonly {
    readonly first: number;
    readonly priority: number;
    readonly jobs: readonly {
      readonly rows: number;
      readonly passes: number;
      readonly refreshes: boolean;
      readonly draft: boolean;
      readonly pause: number;
    }[];
  }[],
  state: PolicyState,
): { readonly ratio: number }[] {
  const next = requests.map(({ first }) => ({ at: first, job: 0, left: 0 }));
  const begun: { wait: number; own: number }[] = [];
  let now = 0;
  let longest = 0;
  let dearest = 0;
  let most = 0;
  for (;;) {
    const open = next.flatMap(({ job }, i) => job < requests[i].jobs.length ? [i] : []);
    if (open.length === 0) break;
    now = Math.max(now, Math.min(...open.map((i) => next[i].at)));
    const waiting = open.filter((i) => next[i].at <= now);
    most = Math.max(most, waiting.length);
    const pending = waiting.map((i): PendingJob => {
      const { rows, passes, refreshes, draft } = requests[i].jobs[next[i].job];
      return {
        request: i,
        model: draft ? "draft" : "target",
        rows,
        passes: passes - next[i].left,
        refreshes,
        since: next[i].at,
        priority: requests[i].priority,
        begun: next[i].job > 0,
      };
    });
    const choice = choosePass(pending, state);
    assert(choice.jobs.length > 0 && new Set(choice.jobs).size === choice.jobs.length);
    const rows = choice.jobs.reduce((sum, job) => sum + pending[job].rows, 0);
    assert(rows <= state.mostRows);
    const curve = state.curves[choice.model]!;
    const took = choice.passes * curve.cost(rows);
    longest = Math.max(longest, took);
    for (const job of choice.jobs) {
      const { request, since, priority, rows, model, passes } = pending[job];
      assertEquals(model, choice.model);
      assert(choice.passes <= passes);
      const hurry = Math.max(-MOST_PRIORITY, Math.min(MOST_PRIORITY, priority));
      const alone = state.curves[model]!.cost(rows);
      dearest = Math.max(dearest, alone);
      begun.push({ wait: now - since, own: alone * 2 ** -hurry });
      const step = next[request];
      step.left += choice.passes;
      step.at = now + took;
      if (choice.passes === passes) {
        step.at += requests[request].jobs[step.job].pause;
        step.job++;
        step.left = 0;
      }
    }
    now += took;
  }
  const rounds = POLICY_SETTINGS.roundsBeforeText * dearest;
  return begun.map(({ wait, own }) => ({ ratio: wait / (most * (own + rounds + longest)) }));
}
