import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { betaQuantile, permuted, PURPOSE } from "../../../src/compress/data/draw.ts";
import { SampleOrder } from "../../../src/compress/data/sample_order.ts";

const seeds = fc.integer({ min: 0, max: 2 ** 53 - 1 });

Deno.test("a permutation takes every index to another", () => {
  fc.assert(
    fc.property(seeds, fc.integer({ min: 1, max: 300 }), fc.nat(), (seed, count, round) => {
      const key = { seed, purpose: PURPOSE.order, round };
      const found = Array.from({ length: count }, (_, i) => permuted(i, count, key));
      assertEquals(found.toSorted((a, b) => a - b), found.map((_, i) => i));
    }),
    { numRuns: 50 },
  );
});

Deno.test("permutations are not near the order they begin with", () => {
  const count = 1000;
  for (let round = 0; round < 5; round++) {
    const key = { seed: 7, purpose: PURPOSE.order, round };
    const found = Array.from({ length: count }, (_, i) => permuted(i, count, key));
    const kept = found.filter((value, i) => i > 0 && Math.abs(value - found[i - 1]) <= 1).length;
    const correlation = found.reduce((sum, value, i) => sum + (value - 499.5) * (i - 499.5), 0) /
      (count * (count ** 2 - 1) / 12);
    // Of 1000 a random order has 2 neighbours side by side, and a correlation of 0 +- 0.03.
    assert(kept < 12, `${kept} neighbours`);
    assert(Math.abs(correlation) < 0.13, `correlation ${correlation}`);
  }
});

Deno.test("every sample comes once an epoch, in another order each time", () => {
  fc.assert(
    fc.property(
      seeds,
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
      fc.nat(1000),
      (seed, counts, epoch) => {
        const order = new SampleOrder(counts.map((count) => ({ count })), seed);
        const places = Array.from({ length: order.count }, (_, i) => {
          const { file, index } = order.at(epoch * order.count + i);
          return `${file} ${index}`;
        });
        const all = counts.flatMap((count, file) =>
          Array.from({ length: count }, (_, index) => `${file} ${index}`)
        );
        assertEquals(places.toSorted(), all.toSorted());
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("shares hold in every thousand samples, and a file's samples come equally often", () => {
  const files = [{ count: 70, share: 0.4 }, { count: 900, share: 0.4 }, { count: 33, share: 0.2 }];
  const order = new SampleOrder(files, 3);
  const seen = files.map(() => [] as number[]);
  for (let cycle = 0; cycle < 4; cycle++) {
    const counts = files.map(() => 0);
    for (let i = 0; i < 1000; i++) {
      const { file, index } = order.at(1000 * cycle + i);
      counts[file]++;
      seen[file].push(index);
    }
    assertEquals(counts, [400, 400, 200]);
  }
  for (const [file, { count }] of files.entries()) {
    const times = Array.from(
      { length: count },
      (_, index) => seen[file].filter((one) => one === index).length,
    );
    const often = seen[file].length / count;
    assert(times.every((n) => n === Math.floor(often) || n === Math.ceil(often)), times.join());
  }
  // No long run is of one file alone.
  const early = Array.from({ length: 50 }, (_, i) => order.at(i).file);
  assertEquals(new Set(early).size, 3);
  assertThrows(
    () => new SampleOrder([{ count: 5, share: 1 }, { count: 5, share: 1e-5 }], 1),
    RangeError,
    "a share is",
  );
});

Deno.test("Beta(2, 2) by its quantile function", () => {
  fc.assert(fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (u) => {
    const x = betaQuantile(u);
    assert(Math.abs(3 * x ** 2 - 2 * x ** 3 - u) < 1e-9 && x > -1e-9 && x < 1 + 1e-9);
  }));
});
