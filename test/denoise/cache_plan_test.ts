import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { CACHE_POLICIES, cachePlan } from "../../src/denoise/cache_plan.ts";

const situation = {
  stepInBlock: 1,
  blockStart: 12,
  blockEnd: 20,
  length: 44,
  refreshInterval: Infinity,
};

Deno.test("a block begins with a refresh; then prefix runs its rest, dual the block alone", () => {
  assertEquals(CACHE_POLICIES, ["none", "prefix", "dual"]);
  for (const stepInBlock of [0, 1, 2, 7, 1000]) {
    const at = { ...situation, stepInBlock };
    const first = stepInBlock === 0;
    assertEquals(cachePlan("none", at), undefined);
    assertEquals(cachePlan("prefix", at), first ? "refresh" : { first: 12, end: 44 });
    assertEquals(cachePlan("dual", at), first ? "refresh" : { first: 12, end: 20 });
  }
});

Deno.test("a refresh interval counts from the block's first step", () => {
  for (const policy of ["prefix", "dual"] as const) {
    for (const [refreshInterval, refreshes] of [[1, 9], [2, 5], [3, 3], [8, 2], [9, 1]]) {
      const plans = Array.from(
        { length: 9 },
        (_, stepInBlock) => cachePlan(policy, { ...situation, stepInBlock, refreshInterval }),
      );
      assertEquals(plans[0], "refresh");
      assertEquals(plans.filter((plan) => plan === "refresh").length, refreshes);
      plans.forEach((plan, step) => assertEquals(plan === "refresh", step % refreshInterval === 0));
    }
  }
});

Deno.test("every candidate of the block is among the positions run, whatever the policy", () => {
  fc.assert(fc.property(
    fc.constantFrom(...CACHE_POLICIES),
    fc.nat(20),
    fc.integer({ min: 1, max: 9 }),
    fc.nat(9),
    fc.nat(30),
    fc.integer({ min: 1, max: 9 }),
    (policy, blockStart, blockLength, rest, stepInBlock, refreshInterval) => {
      const blockEnd = blockStart + blockLength;
      const length = blockEnd + rest;
      const at = { stepInBlock, blockStart, blockEnd, length, refreshInterval };
      const plan = cachePlan(policy, at);
      if (plan === undefined || plan === "refresh") return;
      assert(plan.first <= blockStart && plan.end >= blockEnd && plan.end <= length);
    },
  ));
});
