import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { drawn } from "../../../src/bench/simulation/arrivals.ts";
import { chargedCost, CostCurve } from "../../../src/engine/batching/cost_curve.ts";

/** A GPU: 20 ms to read all weights, during which 64 rows are free. */
const gpu = (rows: number) => Math.max(20, rows * 20 / 64);
/** A CPU: a little for the pass, the rest by rows. */
const cpu = (rows: number) => 4 + rows;
const SIZES = [1, 8, 32, 64, 128, 256, 512];

function curveOf(cost: (rows: number) => number, sizes: readonly number[] = SIZES): CostCurve {
  return CostCurve.from(sizes.map((rows) => ({ rows, milliseconds: cost(rows) })));
}

Deno.test("a curve goes through what was measured, and is straight between", () => {
  for (const cost of [gpu, cpu]) {
    const curve = curveOf(cost);
    for (const rows of SIZES) assertAlmostEquals(curve.cost(rows), cost(rows), 1e-9);
    assertAlmostEquals(curve.cost(96), (cost(64) + cost(128)) / 2, 1e-9);
  }
});

Deno.test("beyond the largest pass it rises on, below the smallest it falls at most in proportion", () => {
  assertAlmostEquals(curveOf(gpu).cost(1024), gpu(1024), 1e-9);
  assertAlmostEquals(curveOf(cpu).cost(2048), cpu(2048), 1e-9);
  // Only small passes were seen, in which rows cost nothing: later ones still will.
  const flat = curveOf(gpu, [1, 8, 32]);
  assert(flat.cost(320) > 2 * flat.cost(32));
  assert(flat.cost(320) < 10 * flat.cost(32));
  assertEquals(curveOf(gpu, [32, 64]).cost(1), 20);
  assertAlmostEquals(curveOf(cpu, [32, 64]).cost(1), cpu(1), 1e-9);
  // Two that rise more than in proportion, which no pass does: not below 0.
  assertEquals(curveOf((rows) => rows * rows, [4, 8]).cost(1), 6);
});

Deno.test("one measurement gives a curve, and none gives its ratios", () => {
  const [none, one] = [new CostCurve(), curveOf(() => 100, [32])];
  assertEquals(one.cost(32), 100);
  assertAlmostEquals(one.cost(256) / one.cost(32), none.cost(256) / none.cost(32), 1e-9);
  assert(none.budget(512, 0.1) > 32);
});

Deno.test("costs never fall with rows, whatever was measured", () => {
  const pass = fc.record({
    rows: fc.integer({ min: 1, max: 2000 }),
    milliseconds: fc.double({ min: 1e-3, max: 1e5, noNaN: true }),
  });
  fc.assert(fc.property(fc.array(pass, { maxLength: 40 }), (passes) => {
    const curve = CostCurve.from(passes);
    let before = 0;
    for (let rows = 1; rows < 4096; rows += 1 + (rows >> 3)) {
      const cost = curve.cost(rows);
      assert(cost > 0 && Number.isFinite(cost));
      assert(cost >= before * (1 - 1e-9), `${rows} rows cost ${cost} ms, fewer ${before}`);
      before = cost;
      const budget = curve.budget(rows, 0.1);
      assert(budget >= 1 && budget <= rows);
    }
  }));
});

Deno.test("passes that something else slowed down do not count, a change that stays does", () => {
  const curve = curveOf(gpu);
  for (let i = 0; i < 60; i++) curve.learn(64, i % 3 === 2 ? 500 : 20 + i % 2);
  assert(curve.cost(64) <= 21);
  for (let i = 0; i < 20; i++) curve.learn(64, 30);
  assertAlmostEquals(curve.cost(64), 30, 1e-9);
});

Deno.test("sizes beside each other that fall are levelled, the more often measured counting more", () => {
  const curve = new CostCurve();
  for (let i = 0; i < 3; i++) curve.learn(32, 10);
  curve.learn(64, 6);
  assertEquals([curve.cost(32), curve.cost(48), curve.cost(64)], [9, 9, 9]);
});

Deno.test("what is no pass is not learnt", () => {
  const curve = new CostCurve();
  for (const value of [0, -1, NaN, Infinity]) {
    curve.learn(value, 10);
    curve.learn(10, value);
  }
  assertEquals(curve.sizes, 0);
});

Deno.test("the budget is where a row is nearly at its cheapest", () => {
  // A GPU's rows are cheapest from the knee on.
  const knee = curveOf(gpu).budget(512, 0.02);
  assert(knee >= 63 && knee <= 67, `${knee} rows`);
  // Before it they cost nothing, so that none is left out.
  assert(curveOf(gpu).budget(512, 0.5) >= 63);
  // 4 ms for the pass are a tenth of the rest at 40 rows.
  assert(Math.abs(curveOf(cpu).budget(4096, 0.1) - 42) <= 3);
  assert(curveOf(cpu).budget(4096, 0.01) > 200);
  // A pass that may not be as long.
  assertEquals(curveOf(cpu).budget(16, 0.001), 16);
  assertEquals(curveOf(cpu).budget(1, 0.1), 1);
});

Deno.test("a budget follows what is learnt", () => {
  const curve = curveOf(cpu);
  const before = curve.budget(512, 0.1);
  for (let i = 0; i < 15; i++) for (const rows of SIZES) curve.learn(rows, gpu(rows));
  assert(curve.budget(512, 0.02) > before);
});

Deno.test("a curve is kept as JSON", () => {
  const curve = curveOf(gpu);
  const again = CostCurve.from(JSON.parse(JSON.stringify(curve)));
  for (const rows of [1, 5, 48, 300, 1000]) assertEquals(again.cost(rows), curve.cost(rows));
});

Deno.test("larger passes than were measured are tried, and disturbed ones do not hide them", () => {
  // One request has run alone, so that all sizes are alike and their slope is noise.
  const curve = new CostCurve();
  for (let i = 0; i < 31; i++) curve.learn(34 + i % 7, i % 2 ? 40 : 50);
  const budget = () => curve.budget(2048, 0.03);
  assert(budget() > 60 && budget() <= 80, `${budget()} rows`);
  // A disturbed pass of that size is none that counts, and the next larger one is tried.
  curve.learn(budget(), 5000);
  curve.learn(36, 40);
  assert(budget() > 120 && budget() <= 160, `${budget()} rows`);
  curve.learn(72, 42);
  assert(budget() > 120, `${budget()} rows`);
  // Sizes measured on a busy machine do not keep one request's quick passes alone for ever.
  const busy = new CostCurve();
  for (let i = 0; i < 61; i++) busy.learn([36, 72, 144, 288][i % 4], [200, 210, 250, 400][i % 4]);
  assert(busy.budget(2048, 0.03) > 280);
  for (let i = 0; i < 20; i++) busy.learn(36, 40);
  assert(busy.budget(2048, 0.03) > 280);
  // Nor does a long time with one request make it forget what it knew of larger passes.
  for (let i = 0; i < 3; i++) busy.learn(288, 100);
  const known = busy.budget(2048, 0.03);
  for (let i = 0; i < 800; i++) busy.learn(36, 40);
  busy.learn(36, 40);
  assertEquals(busy.budget(2048, 0.03), known);
});

Deno.test("one pass in eight is larger, so that noise among small ones cannot keep it small", () => {
  const curve = CostCurve.from([{ rows: 36, milliseconds: 40 }, { rows: 72, milliseconds: 80 }]);
  const budgets = Array.from({ length: 16 }, () => {
    curve.learn(72, 80);
    return curve.budget(2048, 0.03);
  });
  assertEquals(budgets.filter((budget) => budget > 2 * budgets[0]).length, 2);
  assertEquals(curve.budget(50, 0.03), 50);
});

/** Noise of 20%, and now and then a pass that something else slows down. */
function disturbed(milliseconds: number, draw: () => number): number {
  return milliseconds * (1 + 0.2 * draw()) * (draw() < 0.05 ? 4 : 1);
}

Deno.test("a curve that began with one request alone comes to fill passes as the true one would", () => {
  for (const cost of [gpu, cpu]) {
    const draw = drawn(5);
    const curve = new CostCurve();
    for (let i = 0; i < 40; i++) curve.learn(34 + i % 7, disturbed(cost(36), draw));
    // 16 requests of 36 rows: passes as full as budgets say.
    const filled: number[] = [];
    for (let i = 0; i < 600; i++) {
      const requests = Math.max(1, Math.min(16, Math.floor(curve.budget(1024, 0.03) / 36)));
      filled.push(requests);
      curve.learn(36 * requests, disturbed(cost(36 * requests), draw));
    }
    const mean = filled.slice(100).reduce((a, b) => a + b) / (filled.length - 100);
    const price = filled.slice(100).reduce((sum, n) => sum + cost(36 * n), 0) /
      filled.slice(100).reduce((sum, n) => sum + 36 * n, 0);
    const best = cost(1024) / 1024;
    assert(price < 1.07 * best, `a row costs ${price} ms of ${best}, ${mean} requests a pass`);
  }
});

Deno.test("charges of a pass add up to its cost, and rows are dearer in a full one", () => {
  const curve = curveOf(gpu);
  const shares = [32, 32, 64, 384];
  const all = shares.reduce((a, b) => a + b);
  const charges = shares.map((rows) => chargedCost(curve, rows, all, shares.length));
  assertAlmostEquals(charges.reduce((a, b) => a + b), curve.cost(all), 1e-9);
  assertEquals(chargedCost(curve, 32, 32, 1), curve.cost(32));
  // 64 rows in place of 32: nothing more alone, most of twice as much in a full pass.
  assertEquals(chargedCost(curve, 64, 64, 1) / chargedCost(curve, 32, 32, 1), 1);
  assert(charges[2] / charges[1] > 1.5);
});
