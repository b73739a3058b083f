/** Memory that runs out where nobody said how much there is. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { GpuMemoryError } from "../../../src/gpu/device.ts";
import { loadPlanned, type PlannedLoad } from "../../../src/model/loading/load_planned.ts";
import { type MemoryPlan, planLine, planMemory } from "../../../src/model/memory/memory_plan.ts";
import { QUANTISED } from "../../../src/quant/scheme.ts";
import { anyGpu, DeviceWatch } from "../../gpu/device.ts";
import { alone } from "../../alone.ts";
import { scarceMemory } from "../../gpu/scarce_memory.ts";
import { withFolder, writeCheckpoint } from "../random_checkpoint.ts";

/** Devices of the real adapter that each have `bytes` of memory. */
function smallDevices(bytes: number, stack: DisposableStack) {
  const watches: DeviceWatch[] = [];
  const requestAdapter = async () => {
    const adapter = (await navigator.gpu.requestAdapter())!;
    const { limits, info } = adapter;
    return {
      limits,
      info,
      async requestDevice(descriptor: GPUDeviceDescriptor) {
        const device = await adapter.requestDevice(descriptor);
        const gpu = { device, software: anyGpu.software };
        const watch = stack.use(new DeviceWatch(gpu));
        watches.push(watch);
        const used = () => [...watch.alive.values()].reduce((sum, size) => sum + size, 0);
        stack.use(scarceMemory(gpu, () => bytes - used()));
        return device;
      },
    };
  };
  return { provider: { requestAdapter } as unknown as GPU, watches };
}

// Memory is bounded for the whole process.
alone(import.meta.url, () => {
  Deno.test("out of memory while loading: the next smaller choice, unless another was named", () =>
    withFolder(async (target) => {
      const shape = { heads: 4, kvHeads: 4, headDim: 32, layers: 24, ffnSize: 4096, vocabSize: 64 };
      await writeCheckpoint(target, shape, 1);
      const request: PlannedLoad = {
        target,
        answer: { maxTokens: 16, blockLength: 16 },
        cache: false,
        context: 32,
      };
      const stored = await planMemory(anyGpu, { ...request, weights: "stored" });
      // The parameters of dispatches alone are more than is left.
      const bytes = stored.target.weights;
      {
        using stack = new DisposableStack();
        const { provider, watches } = smallDevices(bytes, stack);
        const plans: MemoryPlan[] = [];
        const onPlan = (plan: MemoryPlan) => plans.push(plan);
        using model = (await loadPlanned({ ...request, provider, onPlan })).target;
        model.gpu.throwIfFaulty();
        assertEquals(plans.map(({ target }) => target.choice), ["stored", "q8"]);
        assertMatch(planLine(plans[1]), /^GPU memory: there was none for [\d.]+ MiB; .* in q8 at /);
        const holding = watches.filter(({ alive }) => alive.size > 0);
        assertEquals(holding.length, 1, "what the first choice had taken is freed");
      }
      using stack = new DisposableStack();
      const { provider, watches } = smallDevices(bytes, stack);
      const named = { ...request, provider, weights: "stored" } as const;
      await assertRejects(
        () => loadPlanned(named),
        GpuMemoryError,
        `--weights ${QUANTISED.join(" or ")}`,
      );
      assertEquals(watches.map(({ alive }) => alive.size), watches.map(() => 0));
    }));
});
