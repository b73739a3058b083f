import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { MOST_PASSING, PRIORITY_SECONDS } from "../../../src/engine/batching/admission.ts";
import { BusyError } from "../../../src/engine/request.ts";
import { admission, settle } from "./some_admission.ts";

Deno.test("first come, first served, as many at once as may run", async () => {
  const { ask, order, gate } = admission({ maxRunning: 2 });
  const entered = ["a", "b", "c", "d"].map((name) => ask(name));
  await settle();
  assertEquals([order, gate.running, gate.waiting], [["a", "b"], 2, 2]);
  (await entered[1])();
  await settle();
  assertEquals(order, ["a", "b", "c"]);
  (await entered[0])();
  (await entered[2])();
  await settle();
  assertEquals([order, gate.running, gate.waiting], [["a", "b", "c", "d"], 1, 0]);
});

Deno.test("a higher priority goes first, but no low one waits for ever", async () => {
  const { ask, order, clock } = admission({});
  const leave = await ask("running");
  const low = ask("low");
  clock.now += 1;
  const high = ask("high", { priority: 1 });
  const higher = ask("higher", { priority: 2 });
  clock.now += PRIORITY_SECONDS * 1000;
  const late = ask("late", { priority: 1 });
  leave();
  for (const next of [higher, high, low, late]) (await next)();
  assertEquals(order, ["running", "higher", "high", "low", "late"]);
});

Deno.test("a full queue refuses, and says when to come back from how fast answers end", async () => {
  const { gate, ask, clock } = admission({ maxWaiting: 4 });
  let leave = await ask("first");
  const waiting = ["a", "b", "c", "d"].map((name) => ask(name));
  const unknown = await assertRejects(() => ask("e"), BusyError, "4 requests are waiting");
  assertEquals(unknown.retryAfter, 5);
  // One answer in two seconds: the four that wait take eight.
  for (const next of waiting.splice(0, 2)) {
    clock.now += 2000;
    leave();
    leave = await next;
  }
  waiting.push(ask("f"), ask("g"));
  assertEquals(gate.answersPerSecond, 0.5);
  const known = assertThrows(() => gate.checkRoom(), BusyError);
  assertEquals(known.retryAfter, 8);
  for (const next of waiting) {
    clock.now += 1_000_000;
    leave();
    leave = await next;
  }
  for (let i = 0; i < 4; i++) ask("last").then((go) => go(), () => {});
  await settle();
  assertEquals(assertThrows(() => gate.checkRoom(), BusyError).retryAfter, 60);
  leave();
  await settle();
  assertEquals([gate.running, gate.waiting], [0, 0]);
});

Deno.test("nobody may wait: the first is let in, the second refused", async () => {
  const { gate, ask } = admission({ maxWaiting: 0 });
  const leave = await ask("a");
  await assertRejects(() => ask("b"), BusyError);
  leave();
  gate.checkRoom();
  (await ask("c"))();
});

Deno.test("for want of pages nobody may wait either", async () => {
  const { ask, gate } = admission({ maxRunning: 4, maxWaiting: 0, pages: 4 });
  const leave = await ask("a", { pages: 3 });
  await assertRejects(() => ask("b", { pages: 3 }), BusyError);
  assertEquals(gate.waiting, 0);
  leave();
  (await ask("b", { pages: 3 }))();
});

Deno.test("a request that is aborted while waiting loses its place and nothing else", async () => {
  const { gate, ask, order } = admission({});
  const leave = await ask("a");
  const abort = new AbortController();
  const gone = ask("gone", { signal: abort.signal });
  const next = ask("next");
  abort.abort(new Error("changed my mind"));
  await assertRejects(() => gone, Error, "changed my mind");
  assertEquals(gate.waiting, 1);
  leave();
  (await next)();
  assertEquals(order, ["a", "next"]);
  await assertRejects(() => ask("late", { signal: abort.signal }), Error, "changed my mind");
});

Deno.test("smaller ones pass one that finds too few pages, but only for a while", async () => {
  const { ask, order, clock, gate } = admission({ maxRunning: 4, pages: 10 });
  const leave = await ask("first", { pages: 6 });
  const big = ask("big", { pages: 8 });
  (await ask("small", { pages: 2 }))();
  clock.now += MOST_PASSING - 1;
  const second = await ask("second", { pages: 2 });
  clock.now += 1;
  const third = ask("third", { pages: 2 });
  await settle();
  assertEquals([order, gate.waiting], [["first", "small", "second"], 2]);
  leave();
  const leaveBig = await big;
  await settle();
  // With the big one in there is room again.
  assertEquals(order, ["first", "small", "second", "big"]);
  second();
  (await third)();
  leaveBig();
  assertEquals(gate.running, 0);
});

Deno.test("what fits in no case is refused at once, and holds up nobody", async () => {
  const { ask } = admission({ pages: 4 });
  const leave = await ask("a", { pages: 4 });
  const huge = ask("huge", { pages: 5 });
  const next = ask("next", { pages: 4 });
  leave();
  await assertRejects(() => huge, RangeError, "more than all pages");
  (await next)();
});

Deno.test("whoever comes and goes: bounds hold, all get in, no page is lost", async () => {
  const wishArb = fc.record({
    pages: fc.integer({ min: 0, max: 8 }),
    priority: fc.integer({ min: 0, max: 2 }),
    stay: fc.integer({ min: 1, max: 3000 }),
    aborts: fc.constantFrom(false, false, false, true),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(wishArb, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 4 }),
      async (wishes, maxRunning) => {
        const { gate, ask, clock, free } = admission({ maxRunning, maxWaiting: 30, pages: 8 });
        const leaves: { at: number; leave: () => void }[] = [];
        let [done, aborted] = [0, 0];
        for (const [i, { pages, priority, stay, aborts }] of wishes.entries()) {
          const abort = new AbortController();
          ask(`${i}`, { pages, priority, signal: abort.signal }).then((leave) => {
            leaves.push({ at: clock.now + stay, leave });
          }, () => aborted++);
          if (aborts) setImmediate(() => abort.abort());
        }
        for (let i = 0; done + aborted < wishes.length; i++) {
          assert(i < 1000, "somebody is not let in");
          await new Promise((resolve) => setImmediate(resolve));
          assert(gate.running <= maxRunning && free() >= 0);
          clock.now += 500;
          for (const one of leaves.filter(({ at }) => at <= clock.now)) {
            leaves.splice(leaves.indexOf(one), 1);
            one.leave();
            done++;
          }
        }
        assertEquals([gate.running, gate.waiting, free()], [0, 0, 8]);
      },
    ),
    { numRuns: 100 },
  );
});
