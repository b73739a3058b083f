import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { chargedCost, CostCurve } from "../../../src/engine/batching/cost_curve.ts";
import { RowPrice, RowsOfRequests } from "../../../src/engine/batching/row_price.ts";

const curve = CostCurve.from(
  [1, 64, 128, 256, 512].map((rows) => ({ rows, milliseconds: Math.max(8, rows / 16) })),
);

Deno.test("alone a pass costs what the curve says", () => {
  const price = new RowPrice();
  for (const rows of [1, 50, 128, 300]) assertEquals(price.of(curve, rows), curve.cost(rows));
  price.shared(32, 32, 1);
  assertEquals(price.of(curve, 300), curve.cost(300));
});

Deno.test("beside the same others a pass costs what it is charged", () => {
  const passArb = fc.record({
    own: fc.integer({ min: 1, max: 200 }),
    others: fc.integer({ min: 0, max: 400 }),
    requests: fc.integer({ min: 1, max: 16 }),
    passes: fc.integer({ min: 1, max: 8 }),
  });
  fc.assert(fc.property(passArb, fc.integer({ min: 1, max: 300 }), (pass, rows) => {
    const { own, others, requests, passes } = pass;
    const price = new RowPrice();
    for (let i = 0; i < 60; i++) price.shared(own, own + others, requests, passes);
    const charge = chargedCost(curve, rows, rows + others, requests);
    assertAlmostEquals(price.of(curve, rows), charge, 1e-4 * charge);
    // A chain of passes is as many passes.
    const [chained, single] = [new RowPrice(), new RowPrice()];
    chained.shared(own, own + others, requests, passes);
    for (let i = 0; i < passes; i++) single.shared(own, own + others, requests);
    assertAlmostEquals(chained.of(curve, rows), single.of(curve, rows), 1e-9 * charge + 1e-9);
  }));
});

Deno.test("others that come or go are known within eight passes", () => {
  const price = new RowPrice();
  const share = () => price.of(curve, 128) / price.of(curve, 32);
  assertEquals(share(), 1);
  for (let i = 0; i < 8; i++) price.shared(32, 512, 16);
  const among = share();
  const settled = chargedCost(curve, 128, 608, 16) / chargedCost(curve, 32, 512, 16);
  assert(Math.abs(among / settled - 1) < 0.1, `${among} of ${settled}`);
  for (let i = 0; i < 8; i++) price.shared(32, 32, 1);
  assert(share() < 1.8, `${share()}`);
  for (let i = 0; i < 8; i++) price.shared(32, 32, 1);
  assert(share() < 1.1, `${share()}`);
});

Deno.test("before its first pass a request expects what the others would have in it", () => {
  const usual = new RowsOfRequests();
  assertEquals(usual.of(15), { requests: 15, rows: 0 });
  usual.ran(512, 16);
  assertEquals(usual.of(15), { requests: 15, rows: 480 });
  let others = 15;
  const price = new RowPrice(() => usual.of(others));
  assertEquals(price.of(curve, 64), chargedCost(curve, 64, 544, 16));
  others = 0;
  assertEquals(price.of(curve, 64), curve.cost(64));
  // From then on it goes by its own passes.
  others = 15;
  price.shared(32, 512, 16);
  others = 0;
  assertEquals(price.of(curve, 64), chargedCost(curve, 64, 544, 16));
});

Deno.test("rows of a request follow what passes have", () => {
  const usual = new RowsOfRequests();
  usual.ran(512, 16);
  for (let i = 0; i < 8; i++) usual.ran(86, 1);
  assert(Math.abs(usual.of(1).rows / 86 - 1) < 0.1, `${usual.of(1).rows}`);
});
