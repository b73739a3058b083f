/** Whose turn it is, and who is refused: priorities, deadlines, several answers to one request. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { PRIORITY_SECONDS, type Wish } from "../../../src/engine/batching/admission.ts";
import { BusyError } from "../../../src/engine/request.ts";
import { admission, settle } from "./some_admission.ts";

Deno.test("who is due first goes first, but those without a deadline are not passed for ever", async () => {
  const { ask, order, clock } = admission({ maxWaiting: 20 });
  const leave = await ask("running");
  const through = (name: string, wish?: Partial<Wish>) => ask(name, wish).then((go) => go());
  const all = [
    through("far", { due: 500_000 }),
    through("patient"),
    through("later", { due: 20_000 }),
    through("soon", { due: 10_000 }),
  ];
  clock.now = 1;
  all.push(through("higher", { priority: 1 }), through("higher and soon", { priority: 1, due: 2 }));
  // By now the patient ones have waited so long that nobody who comes is due before them.
  clock.now = 9000;
  all.push(through("in a hurry", { due: 9000 + 1000 * PRIORITY_SECONDS }));
  leave();
  await Promise.allSettled(all);
  assertEquals(order, ["running", "higher", "soon", "later", "far", "patient", "in a hurry"]);
  await assertRejects(() => all[5], BusyError, "The deadline came before");
});

Deno.test("who still waits when it is due is told so then, and no one else is", async () => {
  const { ask, gate, order, clock } = admission({ maxRunning: 2 });
  // It had not to wait, so it is let in, late or not.
  const leave = await ask("late already", { due: -1 });
  const other = await ask("running", { due: 5 });
  const begun = ask("begun", { due: 1, request: "r", hasBegun: true });
  const due = ask("due", { due: 5 });
  const never = ask("patient");
  const error = await assertRejects(() => due, BusyError);
  assertEquals([error.reason, error.retryAfter, gate.waiting], ["deadline", 5, 2]);
  // The clock went on while nobody looked: its timer has not fired.
  const late = ask("late", { due: 1000 });
  clock.now = 2000;
  leave();
  await assertRejects(() => late, BusyError);
  other();
  for (const next of [begun, never]) (await next)();
  assertEquals(order, ["late already", "running", "begun", "patient"]);
});

Deno.test("answers of one request take what places others leave, and are never refused", async () => {
  const { ask, gate, order, clock } = admission({ maxRunning: 3, maxWaiting: 2 });
  const entered: Record<string, Promise<() => void>> = {};
  const answer = (name: string, hasBegun = true) =>
    entered[name] = ask(name, { request: name[0], hasBegun });
  answer("a0", false);
  for (let i = 1; i < 6; i++) answer(`a${i}`);
  await settle();
  // Nobody else waits: all places are theirs. Those that wait are one request.
  assertEquals([order, gate.waiting], [["a0", "a1", "a2"], 1]);
  clock.now += 1000;
  answer("b0", false);
  assertEquals(gate.waiting, 2);
  await assertRejects(() => answer("c0", false), BusyError);
  answer("b1");
  answer("b2");
  const leave = async (name: string) => {
    (await entered[name])();
    await settle();
    return order.at(-1);
  };
  // In turns, until both have as many; then who came first.
  assertEquals(await leave("a0"), "b0");
  assertEquals(await leave("a1"), "a3");
  // Four answers wait, of two requests, and two have ended in a second.
  const { retryAfter } = await assertRejects(() => answer("d0", false), BusyError);
  assertEquals(retryAfter, 2);
  assertEquals(await leave("a2"), "a4");
  assertEquals(await leave("b0"), "b1");
  // In time it gets one more place though others have fewer.
  clock.now += 3000 * PRIORITY_SECONDS;
  const single = ask("single", { request: "s", hasBegun: true });
  assertEquals(await leave("b1"), "b2");
  assertEquals(await leave("a3"), "a5");
  assertEquals(await leave("b2"), "single");
  (await single)();
  await leave("a4");
  await leave("a5");
  assertEquals([gate.running, gate.waiting], [0, 0]);
});

Deno.test("a full queue has room for higher priorities: the last of the lowest is told", async () => {
  const { ask, gate, order, clock } = admission({ maxWaiting: 3 });
  const leave = await ask("running");
  const go = (name: string, wish?: Partial<Wish>) => ask(name, wish).then((leave) => leave());
  const low = ["low", "lower", "lower too"].map((name, i) =>
    go(name, { priority: -Math.min(i, 1), givesWayUntil: 100 })
  );
  await assertRejects(() => go("equal", { priority: -1 }), BusyError, "3 requests are waiting");
  gate.checkRoom({ priority: 1 });
  const first = go("first", { priority: 1 });
  const told = await assertRejects(() => low[2], BusyError, "higher priority has come");
  assertEquals([told.reason, told.retryAfter], ["gave_way", 5]);
  const second = go("second", { priority: 2 });
  await assertRejects(() => low[1], BusyError);
  // What has waited too long to be told keeps its place, and does not count for those above it.
  clock.now = 100;
  const third = go("third", { priority: 1, givesWayUntil: 100 });
  const fourth = go("fourth", { priority: 2 });
  await assertRejects(() => first, BusyError, "higher priority has come");
  assertEquals(gate.waiting, 4);
  await assertRejects(() => go("fifth", { priority: 1 }), BusyError, "4 requests are waiting");
  leave();
  await Promise.all([low[0], second, third, fourth]);
  assertEquals(order, ["running", "second", "fourth", "third", "low"]);
});

Deno.test("whoever comes to a full queue: each is let in or told why not, those that have begun let in", async () => {
  const wishArb = fc.record({
    priority: fc.integer({ min: -1, max: 1 }),
    due: fc.constantFrom(undefined, undefined, 2000, 9000),
    givesWayUntil: fc.constantFrom(undefined, 0, 3000),
    request: fc.constantFrom(undefined, undefined, "a", "b"),
    hasBegun: fc.constantFrom(false, false, true),
    pause: fc.integer({ min: 0, max: 2000 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(wishArb, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 0, max: 3 }),
      async (wishes, maxWaiting) => {
        const { gate, ask, clock } = admission({ maxRunning: 2, maxWaiting });
        const inside: (() => void)[] = [];
        const ends: Promise<string>[] = [];
        let begun = 0;
        for (const [i, { pause, hasBegun, due, ...wish }] of wishes.entries()) {
          if (hasBegun) begun++;
          // A real timer would fire by another clock.
          const turn = { ...wish, hasBegun, due: due && clock.now + due + 1e6 };
          const higher = wishes.slice(i + 1).some(({ priority }) => priority > wish.priority);
          ends.push(
            ask(`${i}`, turn).then((leave) => {
              inside.push(leave);
              return "let in";
            }, (error) => {
              assert(error instanceof BusyError && !hasBegun, `${error}`);
              assert(error.reason === "queue_full" || (error.reason === "gave_way" && higher));
              return error.reason;
            }),
          );
          await new Promise((resolve) => setImmediate(resolve));
          assert(gate.running <= 2 && gate.waiting <= 2 * maxWaiting + begun);
          clock.now += pause;
          if (i % 3 === 2) inside.shift()?.();
        }
        while (gate.running > 0) {
          inside.shift()?.();
          await new Promise((resolve) => setImmediate(resolve));
        }
        assertEquals([gate.waiting, (await Promise.all(ends)).length], [0, wishes.length]);
      },
    ),
    { numRuns: 100 },
  );
});

Deno.test("nobody waits for one who comes more than a step later, a step more for each of priority and place", async () => {
  const wishArb = fc.record({
    pause: fc.integer({ min: 0, max: 30_000 }),
    priority: fc.integer({ min: -1, max: 1 }),
    left: fc.constantFrom(undefined, 1000, 20_000, 90_000),
    request: fc.constantFrom(undefined, undefined, "a", "b"),
    hasBegun: fc.boolean(),
    leaves: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(wishArb, { minLength: 4, maxLength: 30 }), async (wishes) => {
      const { ask, clock } = admission({ maxRunning: 2, maxWaiting: 100 });
      const waiting = new Map<number, { came: number; priority: number; request?: string }>();
      const running: { request?: string; leave: () => void }[] = [];
      const letIn = (came: number, priority: number) => {
        for (const passed of waiting.values()) {
          const places = running.filter(({ request }) => request && request === passed.request);
          const steps = 1 + places.length + priority - passed.priority;
          assert(came <= passed.came + 1000 * PRIORITY_SECONDS * steps);
        }
      };
      for (const [i, { pause, left, leaves, ...wish }] of wishes.entries()) {
        const came = clock.now += pause;
        waiting.set(i, { came, ...wish });
        ask(`${i}`, { ...wish, due: left && came + left }).then((leave) => {
          waiting.delete(i);
          letIn(came, wish.priority);
          running.push({ ...wish, leave });
        }, () => waiting.delete(i));
        await new Promise((resolve) => setImmediate(resolve));
        if (leaves) running.shift()?.leave();
        await new Promise((resolve) => setImmediate(resolve));
      }
      while (running.length > 0) {
        running.shift()!.leave();
        await new Promise((resolve) => setImmediate(resolve));
      }
      assertEquals(waiting.size, 0);
    }),
    { numRuns: 100 },
  );
});
