/** What `unmask bench` counts, not what it times. */
import { assert, assertEquals } from "@std/assert";
import { linearRate } from "../../src/cli/bench_linear.ts";
import { rooflineRow, roofOf } from "../../src/cli/bench_roofline.ts";
import { measureCeilings } from "../../src/cli/ceilings.ts";
import { profileRows } from "../../src/cli/profile.ts";
import { forwardOperations, timeDenoise, timeForward } from "../../src/cli/bench_model.ts";
import { loadSynthetic } from "../../src/model/synthetic.ts";
import { anyGpu } from "../gpu/device.ts";

Deno.test("a synthetic model loads, is timed, and reads back once in four steps", async () => {
  using model = await loadSynthetic(anyGpu, {
    hiddenSize: 64,
    layers: 2,
    heads: 4,
    ffnSize: 96,
    vocabSize: 300,
    maxSequenceLength: 128,
  });
  // Per layer 4 d^2 + 3 d f weights, two operations each a row; attention 4 n^2 d; the head.
  const expected = 2 * (2 * 10 * (4 * 64 ** 2 + 3 * 64 * 96) + 4 * 100 * 64) + 2 * 3 * 64 * 300;
  assertEquals(forwardOperations(model, 10, 3), expected);
  const forward = await timeForward(model, 40);
  assert(forward.milliseconds > 0 && forward.gflopPerSecond > 0);
  const timing = await timeDenoise(model, { promptTokens: 5, genLength: 16, steps: 16 });
  assertEquals(timing.readbacksPerStep, 0.25);
  assertEquals(timing.submitsPerStep, 0.25);
  // Norm, qkv, attention, output; norm, gate and up, down.
  assertEquals(timing.dispatchesPerStep, 2 * 7 + 6);
  assert(timing.hostShare > 0 && timing.hostShare < 1, `${timing.hostShare}`);
});

Deno.test("rates of kernels are finite", async () => {
  const { multiplyAdd, copyGigabytesPerSecond } = await measureCeilings(anyGpu);
  assert(Number.isFinite(copyGigabytesPerSecond) && copyGigabytesPerSecond > 0);
  assertEquals("f16" in multiplyAdd, anyGpu.features.includes("shader-f16"));
  const linear = [
    await linearRate(anyGpu, "bf16", 9, 40, 130),
    await linearRate(anyGpu, "q4", 9, 64, 130, { arithmetic: "int8" }),
  ];
  for (const { gflopPerSecond, gflopPerCpuSecond } of [...Object.values(multiplyAdd), ...linear]) {
    assert(Number.isFinite(gflopPerSecond) && gflopPerSecond > 0);
    assert(Number.isFinite(gflopPerCpuSecond) && gflopPerCpuSecond > 0);
  }
});

Deno.test("a roof is the lower of arithmetic and bandwidth, and a share is of it", () => {
  const rate = (value: number) => ({ gflopPerSecond: value, gflopPerCpuSecond: value / 2 });
  const ceilings = { multiplyAdd: { f32: rate(100), int8: rate(400) }, copyGigabytesPerSecond: 10 };
  const one = { scheme: "bf16", arithmetic: "f32", rows: 1, inner: 4096, columns: 4096 } as const;
  // 2 operations for each 2 bytes of weights, and a little for the row and its result.
  const few = roofOf(one, ceilings);
  assertEquals(few.bound, "memory");
  assert(few.gflopPerSecond < 10 && few.gflopPerSecond > 9.9, `${few.gflopPerSecond}`);
  const many = roofOf({ ...one, rows: 512 }, ceilings);
  assertEquals(many, { bound: "multiply-add", gflopPerSecond: 100 });
  const coded = { ...one, scheme: "q4", arithmetic: "int8", rows: 512 } as const;
  assertEquals(roofOf(coded, ceilings).gflopPerSecond, 400);
  const row = rooflineRow({ ...one, rows: 512, ...rate(30) }, ceilings);
  assertEquals([row.share, row.shareOfCpuCeiling], [0.3, 0.3]);
});

Deno.test("a profile's rates are of the ceiling of its arithmetic; without a cost there are none", () => {
  const rate = (value: number) => ({ gflopPerSecond: value, gflopPerCpuSecond: value });
  const ceilings = { multiplyAdd: { f32: rate(100), int8: rate(400) }, copyGigabytesPerSecond: 10 };
  const [products, other] = profileRows([
    {
      kernel: "matmul q4, int8",
      dispatches: 2,
      milliseconds: 30,
      cost: { operations: 3e9, bytes: 6e7 },
      arithmetic: "int8",
    },
    { kernel: "commit", dispatches: 1, milliseconds: 10, cost: undefined, arithmetic: undefined },
  ], ceilings);
  assertEquals(
    [products.share, products.gflopPerSecond, products.shareOfMultiplyAdd],
    [0.75, 100, 0.25],
  );
  assertEquals([products.gigabytesPerSecond, products.shareOfCopy], [2, 0.2]);
  assertEquals([other.share, other.gflopPerSecond], [0.25, undefined]);
});
