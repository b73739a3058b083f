import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Costs, Recent } from "../../../src/denoise/auto/recent_costs.ts";
import { measured, randomFrom } from "./simulated_device.ts";

Deno.test("the last few of each name are kept, oldest first", () => {
  const recent = new Recent<number>(3);
  for (const value of [1, 2, 3, 4]) recent.add("a", value);
  recent.add("b", 9);
  assertEquals([recent.of("a"), recent.of("b"), recent.of("c")], [[2, 3, 4], [9], []]);
  assertEquals(recent.names, ["a", "b"]);
});

Deno.test("a cost leaves out the compilation, hiccups, and what is no measurement", () => {
  const costs = new Costs();
  costs.add("pass", 900);
  assertEquals([costs.of("pass"), costs.measurements("pass")], [undefined, 0]);
  costs.add("pass", 50);
  costs.add("pass", 10);
  assertEquals([costs.of("pass"), costs.measurements("pass")], [10, 2]);
  for (const wrong of [0, -1, NaN]) costs.add("pass", wrong);
  assertEquals(costs.measurements("pass"), 2);
  for (const cost of [11, 12, 13, 60]) costs.add("pass", cost);
  assertEquals(costs.of("pass"), 12);
});

Deno.test("a cost is close to the truth after a dozen measurements, and follows when it changes", () => {
  fc.assert(
    fc.property(fc.integer(), fc.double({ min: 0.01, max: 100, noNaN: true }), (seed, truth) => {
      const random = randomFrom(seed);
      const costs = new Costs();
      for (let i = 0; i < 16; i++) costs.add("pass", measured(truth, random));
      assert(Math.abs(costs.of("pass")! / truth - 1) < 0.25);
      for (let i = 0; i < 16; i++) costs.add("pass", measured(3 * truth, random));
      assert(Math.abs(costs.of("pass")! / truth - 3) < 0.75);
    }),
  );
});
