/** What `unmask bench` counts, not what it times. */
import { assert, assertEquals } from "@std/assert";
import { linearRate, multiplyAddCeiling } from "../../src/cli/bench_linear.ts";
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
  assertEquals(timing.dispatchesPerStep, 2 * 8 + 6);
  assert(timing.hostShare > 0 && timing.hostShare < 1, `${timing.hostShare}`);
});

Deno.test("rates of kernels are finite", async () => {
  const ceiling = await multiplyAddCeiling(anyGpu);
  const linear = await linearRate(anyGpu, "bf16", 9, 40, 130);
  for (const { gflopPerSecond, gflopPerCpuSecond } of [ceiling, linear]) {
    assert(Number.isFinite(gflopPerSecond) && gflopPerSecond > 0);
    assert(Number.isFinite(gflopPerCpuSecond) && gflopPerCpuSecond > 0);
  }
});
