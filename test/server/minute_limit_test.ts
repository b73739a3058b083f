/** What may be used within 60 seconds. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { MinuteLimit } from "../../src/server/minute_limit.ts";

Deno.test("a bound is left again as what was used is a minute old", () => {
  let now = 1000;
  const limit = new MinuteLimit(3, () => now);
  assertEquals([limit.left, limit.wait, limit.fullAfter], [3, 0, 0]);
  limit.use(1);
  now += 10_000;
  limit.use(2);
  assertEquals([limit.left, limit.wait, limit.fullAfter], [0, 50_000, 60_000]);
  now += 50_000;
  assertEquals([limit.left, limit.wait, limit.fullAfter], [1, 0, 10_000]);
  // More than is left, as by an answer whose length was not known.
  limit.use(100);
  assertEquals([limit.left, limit.wait, limit.fullAfter], [0, 60_000, 60_000]);
  now += 60_000;
  assertEquals([limit.left, limit.wait, limit.fullAfter], [3, 0, 0]);
});

Deno.test("no 60 seconds hold more than the bound, and who waits as told is let in", () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 200 });
  fc.assert(fc.property(fc.integer({ min: 1, max: 12 }), gaps, (most, gaps) => {
    let now = 0;
    const limit = new MinuteLimit(most, () => now);
    const used: number[] = [];
    for (const gap of gaps) {
      now += gap;
      const { wait } = limit;
      assertEquals(wait > 0, limit.left === 0);
      // One in two asks again when it was told to, and is let in then.
      if (wait > 0 && gap % 2 === 0) continue;
      now += wait;
      assertEquals(limit.wait, 0);
      limit.use(1);
      used.push(now);
    }
    used.forEach((from) => {
      const within = used.filter((at) => at >= from && at < from + 60_000).length;
      assert(within <= most, `${within} within 60 s from ${from}`);
    });
  }));
});

Deno.test("what is given back is as if it had not been used, once", () => {
  const step = fc.record({ gap: fc.integer({ min: 0, max: 20_000 }), gives: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    let now = 0;
    const [limit, other] = [new MinuteLimit(8, () => now), new MinuteLimit(8, () => now)];
    const given: (() => void)[] = [];
    for (const { gap, gives } of steps) {
      const giveBack = limit.use(1);
      if (gives) given.push(giveBack);
      else other.use(1);
      now += gap;
      if (gap % 2 === 0) given.splice(0).forEach((giveBack) => giveBack());
      if (given.length > 0) continue;
      assertEquals([limit.left, limit.wait, limit.fullAfter], [
        other.left,
        other.wait,
        other.fullAfter,
      ]);
    }
  }));
});

Deno.test("a long history is forgotten", () => {
  let now = 0;
  const limit = new MinuteLimit(1e9, () => now);
  for (let i = 0; i < 100_000; i++) {
    now += 30;
    limit.use(2);
  }
  assertEquals(limit.left, 1e9 - 4000);
});
