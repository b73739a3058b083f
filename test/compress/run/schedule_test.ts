import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { DECAYS, isOver, progressOf, rateAt } from "../../../src/compress/run/schedule.ts";

Deno.test("the rate rises linearly, then falls as asked", () => {
  const schedule = { rate: 8, warmUp: 0.2, decay: "cosine" } as const;
  assertEquals([0, 0.1, 0.2].map((at) => rateAt(at, schedule)), [0, 4, 8]);
  assertAlmostEquals(rateAt(0.6, schedule), 4, 1e-12);
  assertAlmostEquals(rateAt(1, schedule), 0, 1e-12);
  assertAlmostEquals(rateAt(0.4, { ...schedule, decay: "linear" }), 6, 1e-12);
  assertEquals(rateAt(1, { ...schedule, decay: "constant" }), 8);
});

Deno.test("every step of a run has a rate above 0 and at most the highest", () => {
  fc.assert(fc.property(
    fc.constantFrom(...DECAYS),
    fc.integer({ min: 1, max: 200 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (decay, steps, warmUp) => {
      for (let step = 0; step < steps; step++) {
        const progress = progressOf({ steps }, { step, tokens: 0 }, 7);
        const rate = rateAt(progress, { rate: 3, warmUp, decay });
        assert(rate > 0 && rate <= 3, `${rate} at ${step} of ${steps}`);
      }
    },
  ));
});

Deno.test("a length in tokens ends with the step that reaches it", () => {
  const length = { tokens: 100 };
  assertEquals(isOver(length, { step: 3, tokens: 99 }), false);
  assertEquals(isOver(length, { step: 4, tokens: 130 }), true);
  assertEquals(progressOf(length, { step: 0, tokens: 40 }, 20), 0.5);
  assertEquals(progressOf(length, { step: 0, tokens: 99 }, 20), 1);
});
