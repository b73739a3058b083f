import { assert, assertEquals, assertRejects } from "@std/assert";
import { AloneCall } from "../../../src/engine/batching/call.ts";
import type { Lane } from "../../../src/engine/batching/lane.ts";
import { Scheduler, type SchedulerOptions } from "../../../src/engine/batching/scheduler.ts";
import { GREEDY } from "../../../src/denoise/predictor.ts";
import { BusyError, UnavailableError } from "../../../src/engine/request.ts";
import { GpuError, GpuFaultError, GpuMemoryError } from "../../../src/model/model.ts";
import { MASK, ToyModel } from "../../denoise/toy_model.ts";
import { ToyBatchModel, type ToyBatchOptions } from "./toy_batch_model.ts";

const input = (length: number) => {
  const ids = Uint32Array.from({ length }, (_, i) => i === 0 ? MASK : i % 7);
  return { ids, positions: Uint32Array.of(0), choice: GREEDY };
};
const step = (blockEnd: number) => ({
  blockEnd,
  commits: 1,
  remasking: "low_confidence" as const,
  choices: [GREEDY],
  stopAtEnd: false,
});
const sequence = (length: number) => ({
  ids: new Uint32Array(length).fill(MASK),
  promptLength: 0,
  endTokens: [],
  maskToken: MASK,
});

function schedule(toy: ToyBatchOptions = {}, options: Partial<SchedulerOptions> = {}) {
  const target = new ToyBatchModel(toy);
  const freed: number[] = [];
  const model = Object.assign(target, {
    freeScratch: () => Promise.resolve(void freed.push(target.runs.length)),
  });
  const scheduler = new Scheduler({ target: model }, { maxRunning: 8, maxWaiting: 8, ...options });
  const enter = (signal?: AbortSignal) => scheduler.enter({ pages: 0, signal });
  return { target, scheduler, enter, freed };
}

/** All jobs of the first one's model. */
const all: NonNullable<SchedulerOptions["choose"]> = (pending) => {
  const [{ model }] = pending;
  return { model, jobs: [...pending.keys()].filter((i) => pending[i].model === model), passes: 1 };
};

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

Deno.test("requests that ask at the same time share a pass, and get their own results", async () => {
  const { target, scheduler, enter } = schedule();
  const lanes = await Promise.all([1, 2, 3, 4, 5].map(() => enter()));
  const toy = new ToyModel();
  const found = await Promise.all([
    ...lanes.slice(0, 3).map((lane, i) => lane.target.predict([input(2 + i)])),
    lanes[3].logits.rankAt(input(5), GREEDY, 4),
    lanes[4].logits.logitsAt(input(6)),
  ]);
  assertEquals<unknown[]>(found, [
    ...[2, 3, 4].map((length) => [toy.answer(input(length))]),
    await toy.rankAt(input(5), GREEDY, 4),
    await toy.logitsAt(input(6)),
  ]);
  assertEquals(target.runs, [5]);
  const { passes, passRequests, passRows, mostRequests, running, waiting } = scheduler.figures;
  assertEquals([passes, passRequests, passRows, mostRequests, running, waiting], [
    1,
    5,
    2 + 3 + 4 + 5 + 6,
    5,
    5,
    0,
  ]);
  for (const lane of lanes) lane.close();
  assertEquals([scheduler.lanes, scheduler.figures.running], [0, 0]);
});

Deno.test("while a request's other answers are to come, they may join before the next pass", async () => {
  const expects: boolean[] = [];
  const { scheduler } = schedule({}, {
    maxRunning: 2,
    choose: (pending, state) => (expects.push(state.newcomers), all(pending, state)),
  });
  const enter = (turn: { readonly hasOthers?: boolean; readonly hasBegun?: boolean }) =>
    scheduler.enter({ pages: 0, request: "several", ...turn });
  const ask = (...lanes: Lane[]) =>
    Promise.all(lanes.map((lane) => lane.target.predict([input(3)])));
  const first = await enter({ hasOthers: true });
  await ask(first);
  assertEquals(expects, [true]);
  const second = await enter({ hasBegun: true });
  await ask(first, second);
  assertEquals(expects, [true, false]);
  first.close();
  second.close();
  // A client may leave before it asks for the others.
  const left = await enter({ hasOthers: true });
  await ask(left);
  left.close();
  await ask(await scheduler.enter({ pages: 0 }));
  assertEquals(expects, [true, false, true, false]);
});

Deno.test("passes of a lone request follow each other for a second, of others for less: who comes waits so long", async () => {
  const longest: (number | undefined)[] = [];
  const { enter } = schedule({}, {
    choose: (pending, state) => (longest.push(state.settings?.longestChain), all(pending, state)),
  });
  const first = await enter();
  await first.target.predict([input(3)]);
  const second = await enter();
  await Promise.all([first, second].map((lane) => lane.target.predict([input(3)])));
  second.close();
  await first.target.predict([input(3)]);
  assertEquals(longest, [1000, 200, 1000]);
});

Deno.test("what a request is charged is its part of a shared pass", async () => {
  const clock = { now: 0 };
  const { enter } = schedule({ turns: () => (clock.now += 12, 1) }, {
    now: () => clock.now += 0.01,
    choose: all,
  });
  const lane = await enter();
  await lane.target.predict([input(10)]);
  assert(Math.abs(lane.target.charged!() - 12) < 0.2);
  const others = await Promise.all([enter(), enter(), enter()]);
  const [first, second, third] = others;
  await Promise.all([
    first.target.predict([input(10)]),
    second.target.predict([input(10)]),
    third.logits.rankAt(input(10), GREEDY, 4),
  ]);
  const charged = others.map((other) => other.target.charged!());
  // 30 rows took as long as 10: rows are free.
  for (const cost of charged) assert(Math.abs(cost - 4) < 0.2, `${charged}`);
});

Deno.test("a wrong input fails its own request only", async () => {
  const { enter } = schedule();
  const lanes = await Promise.all([enter(), enter()]);
  const [wrong, right] = await Promise.allSettled([
    lanes[0].target.predict([{ ...input(0), positions: new Uint32Array() }]),
    lanes[1].target.predict([input(4)]),
  ]);
  assert(wrong.status === "rejected" && wrong.reason instanceof RangeError);
  assert(right.status === "fulfilled");
});

Deno.test("out of memory: in halves, smaller passes for a while, and who does not fit fails alone", async () => {
  // Twelve rows fit.
  const fails: ToyBatchOptions["fails"] = (jobs) =>
    jobs.reduce((sum, { rows }) => sum + rows, 0) > 12 ? new GpuMemoryError("no room") : undefined;
  const { target, enter, freed } = schedule({ fails }, { choose: all });
  const lanes = await Promise.all([1, 2, 3, 4].map(() => enter()));
  const ask = (lengths: readonly number[]) =>
    Promise.allSettled(lengths.map((length, i) => lanes[i].target.predict([input(length)])));
  const asked = await ask([4, 4, 4, 20]);
  assertEquals(asked.map(({ status }) => status), [...Array(3).fill("fulfilled"), "rejected"]);
  assert(asked[3].status === "rejected" && asked[3].reason instanceof GpuMemoryError);
  // All, half, the other half, its first, its second, and that once more with everything freed.
  assertEquals(target.runs, [4, 2, 2, 1, 1, 1]);
  assertEquals(freed, [1, 3, 5, 6]);
  // A pass has at most half of what failed last, 12 rows, until some have gone well.
  const runsOf = async (lengths: readonly number[]) => {
    const before = target.runs.length;
    for (const { status } of await ask(lengths)) assertEquals(status, "fulfilled");
    return target.runs.slice(before);
  };
  assertEquals(await runsOf([4, 4, 4]), [3]);
  assertEquals(await runsOf([4, 4, 4, 4]), [3, 1]);
  for (let i = 0; i < 61; i++) assertEquals(await runsOf([4, 4, 4]), [3]);
  assertEquals(await runsOf([4, 4, 4, 4]), [4, 2, 2]);
});

Deno.test("logits that are no numbers fail the request whose they are, and nobody else", async () => {
  const fails: ToyBatchOptions["fails"] = (jobs) =>
    jobs.some(({ rows }) => rows === 5) ? new GpuError("not numbers") : undefined;
  const { enter } = schedule({ fails }, { choose: all });
  const lanes = await Promise.all([1, 2, 3].map(() => enter()));
  const asked = await Promise.allSettled(
    [4, 5, 4].map((length, i) => lanes[i].target.predict([input(length)])),
  );
  assertEquals(asked.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
  assert(asked[1].status === "rejected" && asked[1].reason instanceof GpuError);
});

Deno.test("an error that leaves open what was run ends those in the run, and nobody else", async () => {
  const fails: ToyBatchOptions["fails"] = (_, run) => run === 0 ? new TypeError("ours") : undefined;
  const { target, enter } = schedule({ fails }, { choose: all });
  const lanes = await Promise.all([1, 2].map(() => enter()));
  const asked = lanes.map((lane) => lane.target.predict([input(4)]));
  for (const one of asked) await assertRejects(() => one, TypeError, "ours");
  assertEquals(target.runs, [2]);
  assertEquals((await lanes[0].target.predict([input(4)])).length, 1);
});

Deno.test("a policy that fails ends all calls, and the next ones are made", async () => {
  let asked = 0;
  const choose: SchedulerOptions["choose"] = (...given) => {
    if (asked++ === 0) throw new Error("no choice");
    return all(...given);
  };
  const { enter } = schedule({}, { choose });
  const lane = await enter();
  await assertRejects(() => lane.target.predict([input(4)]), Error, "no choice");
  assertEquals((await lane.target.predict([input(4)])).length, 1);
});

Deno.test("a fault ends all that run and wait, and the next request is answered", async () => {
  const fails: ToyBatchOptions["fails"] = (_, run) =>
    run === 1 ? new GpuFaultError("the device was lost") : undefined;
  const { scheduler, enter } = schedule({ fails }, { maxRunning: 2 });
  const lanes = [await enter(), await enter()];
  await lanes[0].target.predict([input(4)]);
  const waiting = enter();
  const all = [...lanes.map((lane) => lane.target.predict([input(4)])), waiting];
  for (const one of all) await assertRejects(() => one as Promise<unknown>, GpuFaultError, "lost");
  for (const lane of lanes) lane.close();
  assertEquals([scheduler.figures.running, scheduler.figures.waiting], [0, 0]);
  const next = await enter();
  assertEquals((await next.target.predict([input(4)])).length, 1);
});

Deno.test("an abort drops a job that waits at once, and the result of one that runs", async () => {
  const { target, scheduler } = schedule({ turns: () => 10, mostRows: 4, pages: 10 });
  const reason = new Error("left");
  const aborts = [new AbortController(), new AbortController()];
  const [runs, waits] = await Promise.all(
    aborts.map(({ signal }) => scheduler.enter({ pages: 1, signal })),
  );
  const canvas = await runs.target.openCanvas!([sequence(4)]);
  const running = canvas.run([step(4), step(4)], aborts[0].signal);
  const pending = waits.target.predict([input(4)]);
  await turns(3);
  assertEquals(target.runs, [1]);
  for (const abort of aborts) abort.abort(reason);
  const rejected = await Promise.allSettled([running, pending]);
  assertEquals(rejected.map((one) => one.status === "rejected" && one.reason), [reason, reason]);
  canvas.destroy();
  runs.close();
  waits.close();
  // What the run under way uses stays until it ends.
  assertEquals([target.open.size, target.pages.free, scheduler.lanes], [1, 8, 2]);
  await turns(12);
  assertEquals([target.open.size, target.pages.free, scheduler.lanes], [0, 10, 0]);
  assertEquals(target.runs, [1]);
  await assertRejects(() => runs.target.predict([input(4)]), Error, "left");
});

Deno.test("a lane that was closed takes no more calls, and ends those that wait", async () => {
  const { enter } = schedule({ turns: () => 5 });
  const lane = await enter();
  const asked = lane.target.predict([input(4)]);
  lane.close();
  lane.close();
  await assertRejects(() => asked, Error, "the request is over");
  await assertRejects(() => lane.target.predict([input(4)]), Error, "the request is over");
  await assertRejects(() => lane.alone(() => Promise.resolve(1)), Error, "the request is over");
});

Deno.test("work that uses the model directly runs alone, and takes turns with passes", async () => {
  const { target, enter } = schedule();
  const [own, other] = await Promise.all([enter(), enter()]);
  const order: string[] = [];
  const alone = async (name: string) => {
    await own.alone(async () => {
      order.push(name);
      // The toy asserts that no two runs overlap.
      await target.runTogether([target.predictJob([input(2)])], 1);
    });
  };
  const passes = async () => {
    for (let i = 0; i < 3; i++) {
      await other.target.predict([input(3)]);
      order.push("pass");
    }
  };
  const works = async () => {
    for (const name of ["a", "b", "c"]) await alone(name);
  };
  await Promise.all([works(), passes()]);
  assertEquals(order, ["a", "pass", "b", "pass", "c", "pass"]);
  await assertRejects(() => own.alone(() => Promise.reject(new Error("own"))), Error, "own");
  assert((await other.target.predict([input(3)])).length === 1);
  assertEquals(new AloneCall(() => Promise.resolve(), 0).isOver, false);
});

Deno.test("work that finds no memory gets what passes had taken, and fails if that is too little", async () => {
  const { enter, freed } = schedule();
  const lane = await enter();
  let tries = 0;
  const needs = (most: number) => () => {
    if (tries++ < most) return Promise.reject(new GpuMemoryError("no room"));
    return Promise.resolve(freed.length);
  };
  assertEquals(await lane.alone(needs(1)), 1);
  tries = 0;
  await assertRejects(() => lane.alone(needs(2)), GpuMemoryError);
  assertEquals([tries, freed.length], [2, 3]);
});

Deno.test("works of several requests take turns, those of higher priority more often", async () => {
  const clock = { now: 0 };
  const { scheduler } = schedule({}, { now: () => clock.now });
  const runs = async (priorities: readonly number[]) => {
    const order: number[] = [];
    const lanes = await Promise.all(priorities.map((priority) => {
      return scheduler.enter({ pages: 0, priority });
    }));
    await Promise.all(lanes.map(async (lane, i) => {
      for (let work = 0; work < 8; work++) {
        await lane.alone(() => {
          order.push(i);
          clock.now += 10;
          return Promise.resolve();
        });
      }
      lane.close();
    }));
    return order.join("");
  };
  assertEquals(await runs([0, 0, 0]), "012".repeat(8));
  const first = (await runs([0, 0, 0, 2])).slice(0, 18);
  const [low, high] = ["0", "3"].map((lane) => first.split(lane).length - 1);
  assert(high >= 7 && low >= 3, first);
});

Deno.test("inputs that do not fit one pass take several; one that does not is run by itself", async () => {
  const { target, enter } = schedule({ mostRows: 10 });
  const lane = await enter();
  const inputs = [3, 4, 5, 9, 2, 12].map(input);
  const toy = new ToyModel();
  assertEquals(await lane.target.predict(inputs), inputs.map((one) => toy.answer(one)));
  assert(target.runs.length >= 4);
  assertEquals(await lane.target.predict([]), []);
});

Deno.test("of steps that one run does not all have, a target gives those that ran, a draft all", async () => {
  const choose: NonNullable<SchedulerOptions["choose"]> = ([{ model }]) => ({
    model,
    jobs: [0],
    passes: 2,
  });
  const target = new ToyBatchModel();
  const draft = new ToyBatchModel();
  const scheduler = new Scheduler({ target, draft }, { choose, maxRunning: 1, maxWaiting: 1 });
  const lane = await scheduler.enter({ pages: 0 });
  const steps = Array.from({ length: 5 }, () => step(5));
  const canvas = await lane.target.openCanvas!([sequence(5)]);
  const commits = await canvas.run(steps);
  assertEquals(commits.map(([own]) => own.length), [1, 1]);
  assertEquals((await canvas.run(steps.slice(2, 3))).length, 1);
  assertEquals(target.runs, [1, 1]);
  assertEquals(await canvas.run([]), []);
  canvas.destroy();
  const drafted = await lane.draft!.openCanvas!([sequence(5)]);
  assertEquals((await drafted.run(steps)).map(([own]) => own.length), [1, 1, 1, 1, 1]);
  assertEquals(draft.runs, [1, 1, 1]);
  drafted.destroy();
  lane.close();
});

Deno.test("as many as may run and wait; the next is told to come back", async () => {
  const { scheduler, enter } = schedule({}, { maxRunning: 1, maxWaiting: 1 });
  const first = await enter();
  const second = enter();
  await assertRejects(() => enter(), BusyError, "1 requests are waiting");
  // Work of a call or two takes no place.
  const visit = scheduler.visit();
  assertEquals((await visit.target.predict([input(2)])).length, 1);
  visit.close();
  first.close();
  (await second).close();
  assertEquals([scheduler.figures.running, scheduler.figures.waiting], [0, 0]);
});

Deno.test("pages are set aside before a request begins; more than there are is refused", async () => {
  const { target, scheduler } = schedule({ pages: 4 });
  const first = await scheduler.enter({ pages: 3 });
  assertEquals(scheduler.figures.pages, { total: 4, used: 3, shared: 0 });
  const second = scheduler.enter({ pages: 2 });
  await turns(2);
  assertEquals(scheduler.figures.waiting, 1);
  first.close();
  (await second).close();
  assertEquals(target.pages.free, 4);
  await assertRejects(() => scheduler.enter({ pages: 5 }), UnavailableError, "more pages");
});
