import { assert, assertEquals, assertThrows } from "@std/assert";
import { GpuError } from "../../src/gpu/device.ts";
import { KernelTimes } from "../../src/gpu/kernel_times.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createTensor } from "../../src/gpu/tensor.ts";
import { skipIf } from "../skip.ts";
import { anyGpu as gpu, lacks } from "./device.ts";
import { addKernel, fillKernel } from "./fill.ts";

const untimed = lacks(gpu, "timestamp-query");

Deno.test("without timestamps there are no times, and the error says so", () => {
  const without = { ...gpu, features: [] };
  assertThrows(() => new KernelTimes(without), GpuError, "has no timestamp queries");
});

Deno.test({
  ...skipIf(untimed, "every dispatch is counted under its kernel's name and computes the same"),
  async fn() {
    using recorder = new Recorder(gpu);
    using readback = new Readback(gpu);
    using times = new KernelTimes(gpu);
    recorder.times = times;
    const places = createTensor(gpu, "places", 4);
    assertEquals(times.totals(), []);
    for (let round = 1; round <= 2; round++) {
      recorder.dispatch(fillKernel, {
        bindings: { places },
        params: { value: 0 },
        workgroups: [4],
      });
      for (let i = 0; i < 30; i++) {
        recorder.dispatch(addKernel, {
          bindings: { places },
          params: { at: 1, from_place: 1, value: 2 },
          workgroups: [1],
        });
      }
      const found = new Uint32Array(await readback.read(recorder, places));
      assertEquals([...found], [0, 60, 0, 0]);
      await times.collect();
      const totals = new Map(times.totals().map((total) => [total.kernel, total]));
      assertEquals([...totals.keys()].sort(), ["add", "fill"]);
      assertEquals(totals.get("add")!.dispatches, 30 * round);
      assertEquals(totals.get("fill")!.dispatches, round);
      for (const { milliseconds } of totals.values()) {
        assert(Number.isFinite(milliseconds) && milliseconds >= 0);
      }
    }
    places.destroy();
  },
});

Deno.test({
  ...skipIf(
    untimed,
    "more dispatches than a query set holds are counted; costs add up, unless one is missing",
  ),
  async fn() {
    using recorder = new Recorder(gpu);
    using times = new KernelTimes(gpu);
    recorder.times = times;
    const places = createTensor(gpu, "places", 4);
    const call = {
      bindings: { places },
      params: { at: 1, from_place: 1, value: 2 },
      workgroups: [1],
    } as const;
    for (let i = 0; i < 2050; i++) {
      recorder.dispatch(addKernel, { ...call, cost: { operations: 3, bytes: 8 } });
    }
    recorder.submit();
    await times.collect();
    const [{ dispatches, cost, arithmetic }] = times.totals();
    assertEquals({ dispatches, cost, arithmetic }, {
      dispatches: 2050,
      cost: { operations: 3 * 2050, bytes: 8 * 2050 },
      arithmetic: undefined,
    });
    recorder.dispatch(addKernel, call);
    recorder.submit();
    await times.collect();
    assertEquals(times.totals()[0].cost, undefined);
    places.destroy();
  },
});
