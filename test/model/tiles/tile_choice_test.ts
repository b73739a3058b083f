import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  isFaster,
  LEAST_GAIN,
  mostPromising,
  quantile,
  timeRatios,
} from "../../../src/model/tiles/tile_choice.ts";
import { Random } from "../../kernels/random.ts";

const CASES = 2;
const times = (rounds: number) =>
  fc.array(
    fc.array(fc.double({ min: 0.01, max: 1000, noNaN: true }), {
      minLength: CASES,
      maxLength: CASES,
    }),
    { minLength: rounds, maxLength: rounds },
  );
const scaled = (all: readonly (readonly number[])[], by: (round: number) => number) =>
  all.map((round, i) => round.map((time) => time * by(i)));

Deno.test("ratios are of one round, so what slows a whole round down cancels", () => {
  fc.assert(fc.property(
    times(12),
    times(12),
    fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 12, maxLength: 12 }),
    (candidate, fixed, slowness) => {
      const plain = timeRatios(candidate, fixed);
      const slowed = timeRatios(
        scaled(candidate, (round) => slowness[round]),
        scaled(fixed, (round) => slowness[round]),
      );
      for (const [i, ratio] of plain.entries()) {
        assert(Math.abs(slowed[i] / ratio - 1) < 1e-9, `${slowed[i]} and ${ratio}`);
      }
    },
  ));
});

Deno.test("a tiling replaces the rule when nearly every round gains, never when few do", () => {
  fc.assert(fc.property(
    times(12),
    fc.double({ min: 0.1, max: 1.5, noNaN: true }),
    fc.integer({ min: 0, max: 12 }),
    (fixed, factor, gaining) => {
      fc.pre(Math.abs(factor - (1 - LEAST_GAIN)) > 1e-6);
      // Some rounds are as the factor says, the others are lost.
      const candidate = scaled(fixed, (round) => round < gaining ? factor : 1.2);
      assertEquals(isFaster(candidate, fixed), factor < 1 - LEAST_GAIN && gaining >= 10);
    },
  ));
});

Deno.test("the rule itself never replaces the rule", () => {
  fc.assert(fc.property(times(12), (fixed) => !isFaster(fixed, fixed)));
});

Deno.test("noise alone is seldom taken for a gain, and a gain of a tenth seldom missed", () => {
  const random = new Random("noise");
  const noisy = (mean: number) =>
    Array.from({ length: 12 }, () => [mean * Math.exp(0.05 * random.normal())]);
  const share = (mean: number) => {
    let taken = 0;
    for (let i = 0; i < 1000; i++) if (isFaster(noisy(mean), noisy(1))) taken++;
    return taken / 1000;
  };
  assert(share(1) < 0.01, `${share(1)} of races between equals`);
  assert(share(0.85) > 0.9, `${share(0.85)} of races that are won`);
});

Deno.test("the most promising has the lowest median; the first wins a draw", () => {
  const flat = (value: number) => [[value, value], [value, value], [value, value]];
  // One lucky round does not make a winner.
  const lucky = [[0.1, 0.1], [3, 3], [3, 3]];
  assertEquals(mostPromising([flat(2), lucky, flat(1.5), flat(1.9)], flat(2)), 2);
  assertEquals(mostPromising([flat(2), flat(2)], flat(2)), 0);
  assertAlmostEquals(timeRatios([[1, 4]], [[2, 2]])[0], 1, 1e-12);
  assertEquals([0, 0.25, 0.5, 0.75, 1].map((share) => quantile([4, 1, 3, 2], share)), [
    1,
    2,
    3,
    4,
    4,
  ]);
});
